"""Confidence intervals by bootstrap over queries (Efron 1979), and paired comparison of systems on the same queries.

Resampled are *items*: an image that asks several queries (several attributes, several classes) is drawn with all of
them, since their scores hang together. Each resample draws as many of the C items as there are, with replacement;
its counts are multinomial, and every mean is then a quotient of two products with them. Systems share the counts, so
that the difference of two systems' resampled means is the resampled mean of their differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .metrics import Counts, Floats

_CHUNK = 4_000_000  # counts drawn at once: 32 MB


@dataclass(frozen=True)
class Means:
    """Means of V scores per group of queries, overall and macro; of the queries as they are, and of B resamples.

    Attributes:
        point: (G + 2)×V: each group's mean, then that of all queries, then the plain mean over groups.
        resampled: B×(G + 2)×V; NaN where a resample has no query of the group.
    """

    point: Floats
    resampled: Floats

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Percentiles (1 − level)/2 and (1 + level)/2 of the resampled means: two of (G + 2)×V."""
        return _percentiles(self.resampled, level)

    def difference(self, reference: int) -> Difference:
        """Every score against that in column `reference`, query by query."""
        one = slice(reference, reference + 1)
        return Difference(self.point - self.point[:, one], self.resampled - self.resampled[..., one])


@dataclass(frozen=True)
class Difference:
    """Mean differences, shaped as `Means`."""

    point: Floats
    resampled: Floats

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """As `Means.interval`."""
        return _percentiles(self.resampled, level)

    @cached_property
    def p(self) -> Floats:
        """Two-sided p of no difference, (G + 2)×V: twice the share of resamples on the rarer side of 0.

        A resample at 0 stands on both sides. One is added to either count (Davison & Hinkley 1997, 4.11), since no
        number of resamples shows that a difference is impossible: p is at least 2/(B + 1).
        """
        drawn = (~np.isnan(self.resampled)).sum(0)
        below, above = (self.resampled <= 0).sum(0), (self.resampled >= 0).sum(0)
        return np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / (1 + drawn))


def resample(values: Floats, items: Counts, groups: Counts, *, resamples: int = 2000, seed: int = 0) -> Means:
    """Means of Q queries' scores, and of B resamples of the items that ask them.

    Args:
        values: Q×V, finite: V scores of each query (of V systems, say).
        items: Q integers, equal where queries are of the same item.
        groups: Q integers 0..G−1 (attributes, say), each with a query.
        resamples: B.
        seed: the same seed and items draw the same counts, whatever the scores.
    """
    assert len(values) == len(items) == len(groups) > 0, (len(values), len(items), len(groups))
    assert np.isfinite(values).all(), "a score is not finite"
    cluster = np.unique(items, return_inverse=True)[1].reshape(-1)
    clusters, width, scores = int(cluster.max()) + 1, int(groups.max()) + 1, values.shape[1]
    cell = cluster * width + groups
    number = np.bincount(cell, minlength=clusters * width).reshape(clusters, width).astype(np.float64)
    sums = np.stack([np.bincount(cell, column, clusters * width) for column in values.T], 1)
    sums = sums.reshape(clusters, width * scores)
    assert number.sum(0).all(), "a group has no query"
    rows = []
    for counts in draws(clusters, resamples, seed):
        drawn = counts.astype(np.float64)
        rows.append(_means((drawn @ sums).reshape(-1, width, scores), drawn @ number))
    return Means(group_means(values, groups), np.concatenate(rows))


def group_means(values: Floats, groups: Counts) -> Floats:
    """Q×V scores of queries in groups 0..G−1 -> (G + 2)×V: each group's mean, that of all queries, that of groups."""
    sums = np.asarray(np.stack([np.bincount(groups, column) for column in values.T], 1), np.float64)
    result: Floats = _means(sums[None], np.bincount(groups)[None].astype(np.float64))[0]
    return result


def draws(clusters: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each of C items is in each of B resamples: blocks b×C, B rows in all; the blocks change nothing."""
    generator, step = np.random.default_rng(seed), max(1, _CHUNK // clusters)
    for start in range(0, resamples, step):
        number = min(step, resamples - start)
        yield generator.multinomial(clusters, np.full(clusters, 1 / clusters), number)


def _means(sums: Floats, number: Floats) -> Floats:
    """Σ of scores B×G×V and numbers of queries B×G -> means B×(G + 2)×V."""
    each = np.full_like(sums, np.nan)
    np.divide(sums, number[..., None], out=each, where=number[..., None] > 0)
    present = (number > 0).sum(1)[:, None]  # at least one: every item asks something
    macro = np.nansum(each, axis=1) / present
    overall = sums.sum(1) / number.sum(1)[:, None]
    return np.concatenate([each, overall[:, None], macro[:, None]], 1)


def _percentiles(resampled: Floats, level: float) -> tuple[Floats, Floats]:
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
