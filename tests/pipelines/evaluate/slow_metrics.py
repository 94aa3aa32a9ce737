"""Design 3's formulas as plain loops over one ranking: the oracles."""

from __future__ import annotations

import math
from collections.abc import Sequence


def average_precision(hits: Sequence[bool], k: int | None = None, denominator: str = "all") -> float:
    total, found, relevant = 0.0, 0, sum(hits)
    for place, hit in enumerate(hits if k is None else hits[:k], start=1):
        if hit:
            found += 1
            total += found / place
    divisor = {"hits": found, "min": min(relevant, len(hits) if k is None else k), "all": relevant}[denominator]
    return total / divisor if divisor else 0.0


def recall(hits: Sequence[bool], k: int) -> float:
    return sum(hits[:k]) / sum(hits) if any(hits) else 0.0


def ndcg(gains: Sequence[float], k: int) -> float:
    def dcg(values: Sequence[float]) -> float:
        return sum(value / math.log2(place + 1) for place, value in enumerate(values[:k], start=1))

    best = dcg(sorted(gains, reverse=True))
    return dcg(gains) / best if best else 0.0
