"""Scores of the candidates under a plan (design 5, "what is ranked how"), and what each attribute had to do with one.

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

from model.taxonomy import Taxonomy

from .candidates import Candidates
from .plan import Condition, Plan
from .ranking import condition_keys, mean_similarity
from .request import Match
from .result import ClassProbability, Contribution
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
    attributes = {n: candidates.attribute_similarity(n, vector, allowed) for n, vector in query.attributes.items()}
    conditions, classes = plan.ranking, {}
    tier, similarity, secondary = None, None, None
    if conditions:
        tiers, similarities = [], []
        for condition in conditions:
            n = condition.attribute
            one_tier, one_similarity, carried = _score_condition(condition, query, candidates, allowed, attributes[n])
            tiers.append(one_tier)
            similarities.append(one_similarity)
            if query.classes:
                classes[n] = np.where(carried, one_similarity, np.nan)
        weights = [condition.weight for condition in conditions]
        tier = np.sum(tiers, axis=0)
        similarity = mean_similarity(similarities, weights)
        secondary = mean_similarity([attributes[condition.attribute] for condition in conditions], weights)
    if query.merged is not None:
        secondary = similarity
        similarity = candidates.global_similarity(query.merged, allowed).astype(np.float64)
    if similarity is None:
        similarity = mean_similarity([attributes[n] for n in sorted(attributes)])
    return Scores(tier, similarity, secondary, attributes, classes)


def tiers(
    plan: Plan, query: QueryVectors, candidates: Candidates, allowed: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """The tier of each candidate, n, for which no embedding is looked at; None = all are in one."""
    if not plan.ranking:
        return None
    total = np.zeros(len(allowed), np.int64)
    for condition in plan.ranking:
        number = np.zeros(len(allowed), np.int64)
        for index in query.wanted[condition.attribute]:
            number += candidates.carry(index)[allowed]
        total += number if condition.match is Match.ALL else np.minimum(number, 1)
    return total


def upper_tiers(tier: NDArray[np.int64], limit: int, codes: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Rows of the highest tiers that hold the first `limit` places, whatever the similarities: ascending.

    Args:
        tier: n.
        limit: places; with `codes`, of different groups.
        codes: n, the candidates' groups.
    """
    for least in np.unique(tier)[::-1]:
        rows = np.flatnonzero(tier >= least)
        if (len(rows) if codes is None else len(np.unique(codes[rows]))) >= limit:
            return rows
    return np.arange(len(tier))


def contribution(
    n: int, query: QueryVectors, scores: Scores, candidates: Candidates, position: int, row: int
) -> Contribution:
    """What the n-th attribute has to do with the candidate at `position`, which is row `row` of the scores."""
    taxonomy, carried = candidates.taxonomy, candidates.carried_by(n, position)
    matched = ((index, carried[index]) for index in query.wanted[n] if index in carried)
    by_class = float(scores.classes[n][row]) if n in scores.classes else np.nan
    return Contribution(
        attribute=taxonomy.names[n],
        similarity=float(scores.attributes[n][row]),
        class_similarity=None if np.isnan(by_class) else by_class,
        matched=tuple(ClassProbability(taxonomy.class_name(index)[1], probability) for index, probability in matched),
        removed=_names(query.removed, n, taxonomy),
        added=_names(query.added, n, taxonomy),
    )


def _score_condition(
    condition: Condition,
    query: QueryVectors,
    candidates: Candidates,
    allowed: NDArray[np.int64],
    attribute_similarity: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Tier, similarity, and whether any wanted class is carried."""
    wanted = query.wanted[condition.attribute]
    carried = np.zeros((len(allowed), len(wanted)), np.bool_)
    by_class = np.zeros((len(allowed), len(wanted)), np.float32) if query.classes else None
    for k, index in enumerate(wanted):
        carried[:, k] = candidates.carry(index)[allowed]
        if by_class is not None:
            by_class[:, k] = candidates.class_similarity(index, query.classes[index], allowed)
    count = condition.match is Match.ALL
    tier, similarity = condition_keys(carried, by_class, attribute_similarity, count=count)
    return tier, similarity, tier > 0


def _names(indices: tuple[int, ...], n: int, taxonomy: Taxonomy) -> tuple[str, ...]:
    return tuple(taxonomy.class_name(index)[1] for index in indices if taxonomy.attribute_of_class[index] == n)
