"""Scores of the candidates under a plan (design 5, "what is ranked how"), to be ranked by.

=============================  ==================  ==========================================  ===================
asked                          tier                similarity                                  then
=============================  ==================  ==========================================  ===================
a query alone                  one                 mean over all attributes                    item_id
conditions                     sum of theirs       mean of theirs by weight: class similarity  mean attribute
                                                   where a wanted class is carried, else       similarity by
                                                   attribute similarity                        weight, item_id
manipulations                  one                 to the changed query, in global space       item_id
manipulations and conditions   sum of theirs       to the changed query, in global space       the conditions'
                                                                                               similarity, item_id
=============================  ==================  ==========================================  ===================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates
from .plan import Condition, Plan
from .ranking import condition_keys, mean_similarity
from .request import Match
from .vectors import QueryVectors


@dataclass(frozen=True)
class Scores:
    """Scores of n candidates.

    Args:
        tier: n, higher is better; None = one tier.
        similarity: n, compared within a tier.
        secondary: n, decides between equal similarities; None = the id does at once.
        attributes: by attribute position, n cosines of the attribute embeddings.
        classes: by attribute position, n mean cosines of the class embeddings, NaN where no wanted class is carried.
    """

    tier: NDArray[np.int64] | None
    similarity: NDArray[np.float64]
    secondary: NDArray[np.float64] | None
    attributes: Mapping[int, NDArray[np.float32]]
    classes: Mapping[int, NDArray[np.float64]]


def score(plan: Plan, query: QueryVectors, candidates: Candidates, allowed: NDArray[np.int64]) -> Scores:
    """Scores of the candidates at the positions `allowed`."""
    spaces = candidates.spaces
    attributes = {n: spaces.similarity(("attribute", n), query.attributes[n], allowed) for n in query.attributes}
    conditions, classes = plan.ranking, {}
    tier, similarity, secondary = None, None, None
    if conditions:
        keys = []
        for condition in conditions:
            carried, by_class = _by_class(condition, query, candidates, allowed)
            keys.append(_keys(condition, carried, by_class, attributes[condition.attribute]))
            if by_class is not None:
                classes[condition.attribute] = np.where(carried.any(1), keys[-1][1], np.nan)
        weights = [condition.weight for condition in conditions]
        tier = np.sum([one for one, _ in keys], axis=0)
        similarity = mean_similarity([one for _, one in keys], weights)
        secondary = mean_similarity([attributes[condition.attribute] for condition in conditions], weights)
    if query.merged is not None:
        secondary = similarity
        similarity = spaces.similarity(("global", 0), query.merged, allowed).astype(np.float64)
    if similarity is None:
        similarity = mean_similarity([attributes[n] for n in sorted(attributes)])
    return Scores(tier, similarity, secondary, attributes, classes)


def estimate(
    plan: Plan, query: QueryVectors, candidates: Candidates, allowed: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The similarities of `Scores`, by sketches, and nothing besides: n."""
    spaces = candidates.spaces
    if query.merged is not None:
        return spaces.similarity(("global", 0), query.merged, allowed, sketched=True).astype(np.float64)
    if not plan.ranking:
        return mean_similarity(
            [spaces.similarity(("attribute", n), query.attributes[n], allowed, sketched=True) for n in query.attributes]
        )
    similarities = []
    for condition in plan.ranking:
        n = condition.attribute
        carried, by_class = _by_class(condition, query, candidates, allowed, sketched=True)
        lacking = np.ones(len(allowed), np.bool_) if by_class is None else ~carried.any(1)
        similarity = np.zeros(len(allowed), np.float32)
        if lacking.any():
            vector = query.attributes[n]
            similarity[lacking] = spaces.similarity(("attribute", n), vector, allowed[lacking], sketched=True)
        similarities.append(_keys(condition, carried, by_class, similarity)[1])
    return mean_similarity(similarities, [condition.weight for condition in plan.ranking])


def _by_class(
    condition: Condition,
    query: QueryVectors,
    candidates: Candidates,
    allowed: NDArray[np.int64],
    *,
    sketched: bool = False,
) -> tuple[NDArray[np.bool_], NDArray[np.float32] | None]:
    """Of n candidates and a condition's k classes: whether they are carried, n×k, and the similarities, if any, n×k."""
    wanted = query.wanted[condition.attribute]
    carried = np.zeros((len(allowed), len(wanted)), np.bool_)
    by_class = np.zeros((len(allowed), len(wanted)), np.float32) if query.classes else None
    for k, index in enumerate(wanted):
        carried[:, k] = candidates.carry(index)[allowed]
        if by_class is not None:
            by_class[:, k] = candidates.spaces.similarity(
                ("class", index), query.classes[index], allowed, sketched=sketched
            )
    return carried, by_class


def _keys(
    condition: Condition,
    carried: NDArray[np.bool_],
    by_class: NDArray[np.float32] | None,
    attribute_similarity: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return condition_keys(carried, by_class, attribute_similarity, count=condition.match is Match.ALL)
