"""Retrieval metrics over many queries at once (design 3).

Conventions: B queries; `hits` is B×L bool, relevance in rank order, best first; rel_k is its k-th column (k from 1),
R = `relevant` = Σ rel_k over the *whole* gallery, h_K the hits in the first K, P_k = h_k / k. Where `relevant` is not
given, `hits` must hold the whole ranking. A query with R = 0 scores 0; whether it counts is `mean`'s to decide.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]

Denominator = Literal["hits", "min", "all"]
Zero = Literal["keep", "skip"]


def average_precision(
    hits: Hits, *, k: int | None = None, denominator: Denominator = "all", relevant: Counts | None = None
) -> Floats:
    """AP@K = (1/D) Σ_{k≤K} rel_k P_k; with neither `k` nor `denominator` it is AP@all.

    Args:
        hits: B×L, L >= min(K, gallery).
        k: K >= 1; None = the whole gallery.
        denominator: D. ``all``: R. ``min``: min(R, K), the textbook's. ``hits``: h_K, the papers' tables; not
            monotone in quality: one hit, at rank 1, scores 1.
        relevant: B, R; needed where `hits` is cut short.

    Returns:
        B numbers in [0, 1]; 0 where D = 0.
    """
    total = _relevant(hits, relevant)
    head = hits if k is None else hits[:, : _positive(k)]
    found = np.count_nonzero(head, axis=1)
    rows = np.repeat(np.arange(len(head)), found)
    ranks = np.flatnonzero(head) - rows * head.shape[1] + 1  # several times faster than `nonzero` in 2-D
    number = np.arange(1, len(rows) + 1) - np.repeat(np.cumsum(found) - found, found)  # h_k at each hit
    precision = np.bincount(rows, number / ranks, minlength=len(head))
    if denominator == "hits":
        total = found
    elif denominator == "min" and k is not None:
        total = np.minimum(total, k)
    return _divide(precision, total)


def recall(hits: Hits, k: int, *, relevant: Counts | None = None) -> Floats:
    """Recall@K = h_K / R: B numbers in [0, 1], 0 where R = 0."""
    return _divide(hits[:, : _positive(k)].sum(1), _relevant(hits, relevant))


def recall_ceiling(relevant: Counts, k: int) -> Floats:
    """The best Recall@K that a ranking can reach: min(R, K) / R; 0 where R = 0."""
    return _divide(np.minimum(relevant, _positive(k)), relevant)


def ndcg(gains: NDArray[np.floating], k: int, *, ideal: NDArray[np.floating] | None = None) -> Floats:
    """NDCG@K = DCG@K / IDCG@K, DCG@K = Σ_{k≤K} g_k / log2(k + 1), with linear gains.

    Args:
        gains: B×L, g_k >= 0 in rank order, L >= min(K, gallery).
        k: K >= 1.
        ideal: B×>=min(K, gallery), the gallery's best gains, descending; needed where `gains` is cut short.

    Returns:
        B numbers in [0, 1]; 0 where no item of the gallery has a gain.
    """
    best = -np.sort(-gains, axis=1) if ideal is None else ideal
    return _divide(dcg(gains, k), dcg(best, k))


def dcg(gains: NDArray[np.floating], k: int) -> Floats:
    """DCG@K = Σ_{k≤K} g_k / log2(k + 1) of B×L gains in rank order: B numbers."""
    head = gains[:, : _positive(k)].astype(np.float64)
    result: Floats = (head * discounts(head.shape[1])).sum(1)
    return result


def discounts(k: int) -> Floats:
    """1 / log2(r + 1) for the ranks r = 1..K."""
    return np.asarray(1 / np.log2(np.arange(2, k + 2)), np.float64)


def top_k_accuracy(hits: Hits, k: int) -> Floats:
    """1 where at least one of the K nearest is a hit, else 0: B numbers."""
    return np.asarray(hits[:, : _positive(k)].any(1), np.float64)


def triplet_accuracy(positive: ArrayLike, negative: ArrayLike) -> Floats:
    """1 where s(anchor, positive) > s(anchor, negative), strictly, else 0: T numbers."""
    near, far = np.asarray(positive), np.asarray(negative)
    assert near.shape == far.shape, (near.shape, far.shape)
    return np.asarray(near > far, np.float64)


def mean(values: Floats, relevant: Counts, zero: Zero = "keep") -> float:
    """Mean over queries.

    Args:
        values: B, one per query.
        relevant: B, R.
        zero: ``keep`` counts queries with R = 0 (the papers'), ``skip`` leaves them out.

    Returns:
        NaN if no query is left.
    """
    counted = values if zero == "keep" else values[relevant > 0]
    return float(counted.mean()) if counted.size else float("nan")


def _relevant(hits: Hits, relevant: Counts | None) -> Counts:
    return np.count_nonzero(hits, axis=1) if relevant is None else relevant


def _positive(k: int) -> int:
    assert k >= 1, f"K = {k}"
    return k


def _divide(numerator: NDArray[np.generic], denominator: NDArray[np.generic]) -> Floats:
    """0 where the denominator is 0."""
    result = np.zeros(len(numerator), np.float64)
    np.divide(numerator, denominator, out=result, where=np.asarray(denominator) > 0, casting="unsafe")
    return result
