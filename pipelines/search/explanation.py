"""How the score of one item comes about: every attribute's and every class's part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.taxonomy import Taxonomy

from .candidates import Candidates
from .hits import make_hits
from .plan import Plan
from .ranking import rank
from .request import Match
from .result import Hit
from .scoring import score
from .vectors import QueryVectors


@dataclass(frozen=True)
class ClassExplanation:
    """A wanted class.

    Args:
        name: of the class.
        probability: with which the item is predicted to carry it, in [0, 1]; None = it does not.
        similarity: cosine of the class embeddings; None where it is not carried, or there is no class level.
        score_share: what it adds to the score.
    """

    name: str
    probability: float | None
    similarity: float | None
    score_share: float = 0.0


@dataclass(frozen=True)
class AttributeExplanation:
    """One attribute's part of a score.

    Args:
        attribute: its name.
        weight: its part of all weights, in [0, 1]; 0 where the conditions only make tiers, and manipulations rank.
        score_share: what it adds to the score: weight times the similarity that it ranks by.
        tier: what it adds to the tier.
        similarity: cosine of the attribute embeddings.
        classes: the wanted ones, carried or not.
    """

    attribute: str
    weight: float
    score_share: float
    tier: int
    similarity: float
    classes: tuple[ClassExplanation, ...]


@dataclass(frozen=True)
class Explanation:
    """Why an item is where it is.

    Args:
        plan: what is done, for people to read.
        snapshot_id: that was searched.
        model: digest of the checkpoint.
        changes: attribute -> classes that the manipulations took away from the query, and put in.
        hit: the item, ranked among all candidates; None where only the query is explained.
        attributes: in taxonomy order; their shares add up to the hit's score, unless manipulations rank.
    """

    plan: str
    snapshot_id: str
    model: str
    changes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    hit: Hit | None = None
    attributes: tuple[AttributeExplanation, ...] = ()


def changed_classes(query: QueryVectors, taxonomy: Taxonomy) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Attribute -> classes that went and that came, of the attributes of which any did."""
    result = {}
    for n, name in enumerate(taxonomy.names):
        span = taxonomy.span(n)
        gone, come = (
            tuple(taxonomy.class_name(index)[1] for index in indices if index in range(span.start, span.stop))
            for indices in (query.removed, query.added)
        )
        if gone or come:
            result[name] = gone, come
    return result


def explain_item(
    plan: Plan, query: QueryVectors, candidates: Candidates, allowed: NDArray[np.int64], position: int
) -> tuple[Hit, tuple[AttributeExplanation, ...]]:
    """The candidate at a position, ranked among all those at the positions `allowed`, and the parts of its score."""
    scores, ids = score(plan, query, candidates, allowed), candidates.ids.ranks[allowed]
    order = rank(scores.tier, scores.similarity, ids, secondary=scores.secondary)
    place = int(np.flatnonzero(allowed[order] == position)[0])
    (hit,) = make_hits(plan, query, candidates, allowed, scores, order[place : place + 1], place + 1)
    return hit, _parts(plan, query, hit, candidates)


def _parts(plan: Plan, query: QueryVectors, hit: Hit, candidates: Candidates) -> tuple[AttributeExplanation, ...]:
    """The parts of a hit's score, of each attribute that its contributions tell about."""
    conditions = {condition.attribute: condition for condition in plan.ranking}
    total = sum(condition.weight for condition in conditions.values())
    position = candidates.ids.find(hit.item_id)
    assert position is not None
    result = []
    for n, told in zip(plan.explained, hit.contributions, strict=True):
        condition = conditions.get(n)
        weight = 1 / len(plan.explained) if condition is None else condition.weight / total
        weight = 0.0 if plan.changes else weight
        carried, taxonomy = candidates.carried_by(n, position), plan.taxonomy
        by_class: dict[int, float] = {}
        if condition is not None and query.classes:
            stored = candidates.spaces.class_embeddings(n, hit.item_id)
            by_class = {
                index: float(np.float32(query.classes[index].astype(np.float64) @ stored[index].astype(np.float64)))
                for index in query.wanted[n]
                if index in carried
            }
        classes = tuple(
            ClassExplanation(
                taxonomy.class_name(index)[1],
                carried.get(index),
                by_class.get(index),
                weight * by_class[index] / len(by_class) if index in by_class else 0.0,
            )
            for index in query.wanted[n]
        )
        number = sum(one.probability is not None for one in classes)
        counted = condition is not None and condition.match is Match.ALL
        ranks_by = told.similarity if told.class_similarity is None else told.class_similarity
        result.append(
            AttributeExplanation(
                attribute=told.attribute,
                weight=weight,
                score_share=weight * ranks_by,
                tier=0 if condition is None else number if counted else min(number, 1),
                similarity=told.similarity,
                classes=classes,
            )
        )
    return tuple(result)
