"""Per-query scores, beside what chance scores and what is possible, and their means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import chance, metrics
from .metrics import Counts, Floats, Hits, Zero

CURVE = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)  # K of the curves
NEAREST = 10  # items kept of each ranking


@dataclass(frozen=True)
class Scores:
    """Q queries of one attribute (or of several, joined).

    Attributes:
        item: Q positions of the query items.
        class_index: Q class indices 0..ΣM−1 that the query is about; −1 = about the item's whole set.
        gallery: Q, n: candidates.
        relevant: Q, R.
        values: by measure (``MAP@all``, ``MAP@10``, ``Recall@10``, …): Q numbers in [0, 1].
        chance: by measure: what a random ranking scores on average.
        ceiling: by measure, for those that have one below 1: the best that is possible.
        curves: ``MAP`` and ``Recall``, and what chance scores as ``random MAP`` and ``random Recall``: Q×|CURVE|.
        nearest: Q×NEAREST positions of the items found, best first; −1 where there is no further one. Nothing (0 rows)
            where they are not kept.
        hit: of `nearest`, which are relevant.
    """

    item: Counts
    class_index: Counts
    gallery: Counts
    relevant: Counts
    values: Mapping[str, Floats]
    chance: Mapping[str, Floats]
    ceiling: Mapping[str, Floats]
    curves: Mapping[str, Floats] = field(default_factory=dict)
    nearest: Counts = field(default_factory=lambda: np.empty((0, NEAREST), np.int64))
    hit: Hits = field(default_factory=lambda: np.empty((0, NEAREST), bool))

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True)
class Summary:
    """Means over queries.

    Attributes:
        queries: in all, of which `without_relevant` have R = 0.
        values, chance, ceiling: by measure; NaN without queries.
        curves: see `Scores`: |CURVE| means each.
    """

    queries: int
    without_relevant: int
    values: Mapping[str, float]
    chance: Mapping[str, float]
    ceiling: Mapping[str, float]
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def map(self) -> float:
        """MAP@all."""
        return self.values["MAP@all"]


def score(
    hits: NDArray[np.bool_],
    item: Counts,
    class_index: Counts,
    gallery: Counts,
    ks: Sequence[int],
    denominator: metrics.Denominator,
) -> Scores:
    """Score whole rankings: hits B×G in rank order, of B queries."""
    relevant = np.count_nonzero(hits, axis=1)
    values = {"MAP@all": metrics.average_precision(hits)}
    expected = {"MAP@all": chance.average_precision(gallery, relevant)}
    ceiling = {}
    for k in ks:
        values[f"MAP@{k}"] = metrics.average_precision(hits, k=k, denominator=denominator, relevant=relevant)
        expected[f"MAP@{k}"] = chance.average_precision(gallery, relevant, k, denominator)
    for k in ks:
        values[f"Recall@{k}"] = metrics.recall(hits, k, relevant=relevant)
        expected[f"Recall@{k}"] = chance.recall(gallery, relevant, k)
        ceiling[f"Recall@{k}"] = metrics.recall_ceiling(relevant, k)
    curves = {
        "MAP": [metrics.average_precision(hits, k=k, denominator=denominator, relevant=relevant) for k in CURVE],
        "Recall": [metrics.recall(hits, k, relevant=relevant) for k in CURVE],
        "random MAP": [chance.average_precision(gallery, relevant, k, denominator) for k in CURVE],
        "random Recall": [chance.recall(gallery, relevant, k) for k in CURVE],
    }
    stacked = {name: np.stack(columns, 1) for name, columns in curves.items()}
    return Scores(item, class_index, gallery, relevant, values, expected, ceiling, stacked)


def join(parts: Iterable[Scores]) -> Scores:
    """The queries of all parts."""
    parts = list(parts)
    assert parts

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    def columns(name: str) -> dict[str, Floats]:
        return {key: np.concatenate([getattr(part, name)[key] for part in parts]) for key in getattr(parts[0], name)}

    return Scores(
        item=column("item"),
        class_index=column("class_index"),
        gallery=column("gallery"),
        relevant=column("relevant"),
        values=columns("values"),
        chance=columns("chance"),
        ceiling=columns("ceiling"),
        curves=columns("curves"),
        nearest=column("nearest"),
        hit=column("hit"),
    )


def summarise(scores: Scores, zero: Zero) -> Summary:
    """Means over the queries, each of which counts alike (query-weighted, the papers')."""

    def means(columns: Mapping[str, Floats]) -> dict[str, float]:
        return {name: metrics.mean(values, scores.relevant, zero) for name, values in columns.items()}

    without = int(np.count_nonzero(scores.relevant == 0))
    curves = {
        name: tuple(metrics.mean(column, scores.relevant, zero) for column in values.T)
        for name, values in scores.curves.items()
    }
    return Summary(len(scores), without, means(scores.values), means(scores.chance), means(scores.ceiling), curves)


def macro(summaries: Iterable[Summary]) -> Summary:
    """Plain mean over attributes; those without a counted query have no say."""
    parts = list(summaries)

    def means(kind: str) -> dict[str, float]:
        return {name: _mean([getattr(part, kind)[name] for part in parts]) for name in getattr(parts[0], kind)}

    queries, without = sum(part.queries for part in parts), sum(part.without_relevant for part in parts)
    curves = {
        name: tuple(_mean(list(column)) for column in zip(*(part.curves[name] for part in parts), strict=True))
        for name in parts[0].curves
    }
    return Summary(queries, without, means("values"), means("chance"), means("ceiling"), curves)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
