"""What a random ranking scores, in closed form: the first row of every table.

A random ranking is a uniformly random order of the n items of the gallery, R of which are relevant. All functions
take arrays of n and R (one entry per query) and give the expectation per query; 0 where R = 0.
"""

from __future__ import annotations

import numpy as np

from .metrics import Counts, Denominator, Floats, discounts


def average_precision(
    gallery: Counts, relevant: Counts, k: int | None = None, denominator: Denominator = "all"
) -> Floats:
    """E[AP@K] of a random ranking.

    With r = (R − 1)/(n − 1): rank k is a hit with probability R/n, and then P_k is (1 + (k − 1) r)/k on average.
    So E[Σ_{k≤K} rel_k P_k] = (R/n) [H_K (1 − r) + K r]; K = n and D = R give design 3's formula for AP@all. With
    D = h_K the K first places are themselves a random ranking of h_K hits, h_K hypergeometric.
    """
    n, total = gallery.astype(np.float64), relevant.astype(np.float64)
    length = np.asarray(gallery if k is None else np.minimum(gallery, k))
    if denominator == "hits" and k is not None:
        return _expected_over_hits(gallery, relevant, length)
    safe = np.maximum(n, 1)
    share = np.where(n > 1, (total - 1) / np.maximum(n - 1, 1), 1.0)
    summed = total / safe * (_harmonic(length) * (1 - share) + length * share)
    divisor = total if k is None or denominator == "all" else np.minimum(total, k)
    return np.where(total > 0, summed / np.maximum(divisor, 1), 0.0)


def recall(gallery: Counts, relevant: Counts, k: int) -> Floats:
    """E[Recall@K] = min(K, n)/n."""
    return np.where(relevant > 0, np.minimum(gallery, k) / np.maximum(gallery, 1), 0.0)


def top_k_accuracy(gallery: Counts, relevant: Counts, k: int) -> Floats:
    """P(at least one hit in the first K) = 1 − C(n − R, K)/C(n, K)."""
    length = np.minimum(gallery, k)
    logs = _log_factorials(int(gallery.max(initial=0)))
    rest = gallery - relevant
    none = np.where(
        rest >= length,
        np.exp(_log_choose(logs, np.maximum(rest, length), length) - _log_choose(logs, gallery, length)),
        0.0,
    )
    return np.where(relevant > 0, 1 - none, 0.0)


def dcg(mean_gain: Floats, gallery: Counts, k: int) -> Floats:
    """E[DCG@K]: each of the first min(K, n) places holds the gallery's mean gain."""
    sums = np.concatenate([[0.0], np.cumsum(discounts(k))])
    return mean_gain * sums[np.minimum(gallery, k)]


def _expected_over_hits(gallery: Counts, relevant: Counts, length: Counts) -> Floats:
    """Σ_h P(h_K = h) E[AP of a random ranking of K items, h of them relevant]."""
    logs = _log_factorials(int(gallery.max(initial=0)))
    result = np.zeros(len(gallery), np.float64)
    for h in range(1, int(np.minimum(length, relevant).max(initial=0)) + 1):
        possible = (h <= relevant) & (h <= length) & (length - h <= gallery - relevant)
        n, total, top = gallery[possible], relevant[possible], length[possible]
        chance = np.exp(
            _log_choose(logs, total, np.full_like(total, h))
            + _log_choose(logs, n - total, top - h)
            - _log_choose(logs, n, top)
        )
        result[possible] += chance * average_precision(top, np.full_like(top, h))
    return result


def _harmonic(n: Counts) -> Floats:
    """H_n = Σ_{i≤n} 1/i, H_0 = 0."""
    table = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(n.max(initial=0)) + 1))])
    return table[n]


def _log_factorials(n: int) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def _log_choose(logs: Floats, n: Counts, k: Counts) -> Floats:
    return logs[n] - logs[k] - logs[n - k]
