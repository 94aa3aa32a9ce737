"""The random row, against every order of a small gallery and against design 3's formula."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipelines.evaluate import chance, metrics

CASES = [(n, relevant) for n in range(1, 8) for relevant in range(n + 1)]


def every_order(n: int, relevant: int) -> np.ndarray:
    """All placements of the relevant items; each is equally likely."""
    hits = np.zeros((len(list(itertools.combinations(range(n), relevant))), n), bool)
    for row, places in enumerate(itertools.combinations(range(n), relevant)):
        hits[row, list(places)] = True
    return hits


@pytest.mark.parametrize(("n", "relevant"), CASES)
def test_equals_the_mean_over_all_orders(n: int, relevant: int) -> None:
    hits, size, total = every_order(n, relevant), np.array([n]), np.array([relevant])
    assert chance.average_precision(size, total) == pytest.approx([metrics.average_precision(hits).mean()])
    for k in (1, 2, 5, 9):
        for denominator in ("hits", "min", "all"):
            expected = metrics.average_precision(hits, k=k, denominator=denominator).mean()
            assert chance.average_precision(size, total, k, denominator) == pytest.approx([expected]), (k, denominator)
        assert chance.recall(size, total, k) == pytest.approx([metrics.recall(hits, k).mean()])
        assert chance.top_k_accuracy(size, total, k) == pytest.approx([metrics.top_k_accuracy(hits, k).mean()])
        gains = hits * 0.5
        assert chance.dcg(gains.mean(1), np.full(len(hits), n), k) == pytest.approx(metrics.dcg(gains, k).mean())


def step_by_step(n: int, relevant: int, k: int, denominator: str) -> float:
    """E[AP@K] by the ranking as a process: after each rank, how likely h hits are, and the mean of their sum."""
    likely, summed = np.zeros(relevant + 2), np.zeros(relevant + 2)  # by h: P(h), and E[Σ rel P; h]
    likely[0], h = 1.0, np.arange(relevant + 1)
    for rank in range(1, min(k, n) + 1):
        hit = np.append((relevant - h) / (n - rank + 1), 0).clip(0, 1)
        came, rest = likely * hit, likely * (1 - hit)
        mean = summed * hit + came * np.append(h + 1, 0) / rank
        likely, summed = rest + np.roll(came, 1), summed * (1 - hit) + np.roll(mean, 1)
    if denominator == "hits":
        return float((summed[1:-1] / h[1:]).sum())
    return float(summed.sum()) / max(1, relevant if denominator == "all" else min(relevant, k))


def test_equals_the_process_on_thousands_of_galleries() -> None:
    rng = np.random.default_rng(0)
    n = rng.integers(1, 41, 3000)
    total = np.where(rng.random(3000) < 0.1, 0, rng.integers(0, n + 1))
    assert (total == 0).any() and (total == n).any()
    every = [step_by_step(*pair, 40, "all") for pair in zip(n.tolist(), total.tolist(), strict=True)]
    assert chance.average_precision(n, total) == pytest.approx(every)
    for k in (1, 4, 25):
        for denominator in ("hits", "min", "all"):
            expected = [
                step_by_step(*pair, k, denominator) for pair in zip(n[:500].tolist(), total[:500].tolist(), strict=True)
            ]
            assert chance.average_precision(n[:500], total[:500], k, denominator) == pytest.approx(expected)


def test_is_the_formula_of_design_3() -> None:
    n, relevant = 1000, 37
    harmonic = sum(1 / i for i in range(1, n + 1))
    expected = (harmonic * (1 - (relevant - 1) / (n - 1)) + n * (relevant - 1) / (n - 1)) / n
    assert chance.average_precision(np.array([n]), np.array([relevant])) == pytest.approx([expected])


def test_many_queries_at_once() -> None:
    size, total = np.array([5, 7, 1, 6, 0]), np.array([2, 0, 1, 6, 0])
    for k in (None, 3):
        for denominator in ("hits", "min", "all"):
            alone = [chance.average_precision(size[i : i + 1], total[i : i + 1], k, denominator)[0] for i in range(5)]
            assert chance.average_precision(size, total, k, denominator) == pytest.approx(alone)


def test_a_random_ranking_scores_it() -> None:
    rng = np.random.default_rng(3)
    hits = rng.permuted(np.tile(np.arange(200) < 20, (2000, 1)), axis=1)
    measured = metrics.average_precision(hits, k=50, denominator="hits")
    expected = chance.average_precision(np.array([200]), np.array([20]), 50, "hits")[0]
    assert measured.mean() == pytest.approx(expected, abs=4 * measured.std() / np.sqrt(2000))
