"""Hits of a ranking, each with its reasons."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates
from .plan import Plan
from .result import Hit
from .scoring import Scores, contribution
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
    facts = candidates.facts(allowed[order])
    return tuple(
        Hit(
            rank=place,
            tier=0 if scores.tier is None else int(scores.tier[row]),
            score=float(scores.similarity[row]),
            item_id=item_id,
            image_uri=image_uri,
            metadata=metadata,
            contributions=tuple(
                contribution(n, query, scores, candidates, int(allowed[row]), row) for n in plan.explained
            ),
        )
        for place, row, (item_id, image_uri, metadata) in zip(
            itertools.count(first), order.tolist(), facts, strict=False
        )
    )
