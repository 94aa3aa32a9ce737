"""Hits of a ranking, each with its reasons."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates
from .plan import Plan
from .result import ClassProbability, Contribution, Hit
from .scoring import Scores
from .vectors import QueryVectors


def make_hits(
    plan: Plan,
    query: QueryVectors,
    candidates: Candidates,
    allowed: NDArray[np.int64],
    scores: Scores,
    order: NDArray[np.int64],
    first: int,
) -> tuple[Hit, ...]:
    """A part of a ranking.

    Args:
        plan: tells which attributes are told about.
        query: that was asked.
        candidates: of the snapshot.
        allowed: positions of the n candidates.
        scores: of those.
        order: rows of the scores, best first.
        first: rank of the first of them.
    """
    positions = allowed[order]
    facts = candidates.facts(positions)
    tiers = itertools.repeat(0) if scores.tier is None else scores.tier[order].tolist()
    similarities = scores.similarity[order].tolist()
    told = [_contributions(n, query, candidates, scores, order, positions) for n in plan.explained]
    return tuple(
        Hit(rank, tier, score, item_id, image_uri, metadata, contributions)
        for rank, tier, score, (item_id, image_uri, metadata), contributions in zip(
            itertools.count(first), tiers, similarities, facts, zip(*told, strict=True), strict=False
        )
    )


def _contributions(
    n: int,
    query: QueryVectors,
    candidates: Candidates,
    scores: Scores,
    order: NDArray[np.int64],
    positions: NDArray[np.int64],
) -> list[Contribution]:
    """What the n-th attribute has to do with each of some candidates, which are rows `order` of the scores."""
    taxonomy = candidates.taxonomy
    name = taxonomy.names[n]
    removed, added = (
        tuple(taxonomy.class_name(m)[1] for m in indices if taxonomy.attribute_of_class[m] == n)
        for indices in (query.removed, query.added)
    )
    matched: list[tuple[ClassProbability, ...]] = [()] * len(order)
    for index in query.wanted[n]:
        label = taxonomy.class_name(index)[1]
        for place, probability in enumerate(candidates.probabilities(index, positions).tolist()):
            if probability == probability:  # not NaN: it is carried
                matched[place] = (*matched[place], ClassProbability(label, probability))
    by_class = scores.classes[n][order].tolist() if n in scores.classes else itertools.repeat(np.nan)
    return [
        Contribution(name, similarity, None if one != one else one, classes, removed, added)
        for similarity, one, classes in zip(scores.attributes[n][order].tolist(), by_class, matched, strict=False)
    ]
