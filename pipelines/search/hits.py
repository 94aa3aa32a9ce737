"""Hits of a ranking, each with its reasons."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates
from .plan import Plan
from .result import ClassProbability, Contribution, Hit
from .scoring import Scores
from .vectors import QueryVectors

T = TypeVar("T", bound=tuple[Any, ...])


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
    columns = (
        range(first, first + len(order)),
        itertools.repeat(0, len(order)) if scores.tier is None else scores.tier[order].tolist(),
        scores.similarity[order].tolist(),
        *candidates.facts(positions),
        zip(*(_contributions(n, query, candidates, scores, order, positions) for n in plan.explained), strict=True),
    )
    return tuple(_tuples(Hit, *columns))


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
        probabilities = candidates.probabilities(index, positions)
        rows = np.flatnonzero(~np.isnan(probabilities))  # that carry it
        one = _tuples(ClassProbability, itertools.repeat(label, len(rows)), probabilities[rows].tolist())
        for row, match in zip(rows.tolist(), one, strict=True):
            matched[row] += (match,)
    by_class: Iterable[float | None] = itertools.repeat(None, len(order))
    if n in scores.classes:
        by_class = [None if one != one else one for one in scores.classes[n][order].tolist()]
    columns = (
        itertools.repeat(name, len(order)),
        scores.attributes[n][order].tolist(),
        by_class,
        matched,
        itertools.repeat(removed, len(order)),
        itertools.repeat(added, len(order)),
    )
    return list(_tuples(Contribution, *columns))


def _tuples(kind: type[T], *columns: Iterable[Any]) -> Iterator[T]:
    """Named tuples of these fields, which are not counted one by one: that would take as long again."""
    assert len(columns) == len(kind._fields)  # type: ignore[attr-defined]
    return map(tuple.__new__, itertools.repeat(kind), zip(*columns, strict=True))
