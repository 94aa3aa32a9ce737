"""The bootstrap against a loop over the same draws, against the normal approximation, and against the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.evaluate import bootstrap
from pipelines.evaluate.bootstrap import Means, draws, resample


def random_case(seed: int, queries: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two systems' scores of queries of about half as many items, in three groups."""
    rng = np.random.default_rng(seed)
    items, groups = rng.integers(0, queries // 2, queries), rng.integers(0, 3, queries)
    groups[:3] = range(3)
    return rng.random((queries, 2)), items * 7, groups


def slow_means(queries: list[tuple[np.ndarray, int]]) -> np.ndarray:
    """(scores, group) of each query -> means per group, overall, macro."""
    each = []
    for group in range(3):
        own = [scores for scores, of in queries if of == group]
        each.append(np.mean(own, axis=0) if own else np.full(2, np.nan))
    present = [mean for mean in each if not np.isnan(mean).any()]
    return np.stack([*each, np.mean([scores for scores, _ in queries], axis=0), np.mean(present, axis=0)])


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_loop_over_the_same_draws(seed: int) -> None:
    values, items, groups = random_case(seed)
    found = resample(values, items, groups, resamples=25, seed=seed)
    assert found.point == pytest.approx(slow_means(list(zip(values, groups, strict=True))))
    names = np.unique(items)
    counts = np.concatenate(list(draws(len(names), 25, seed)))
    assert counts.shape == (25, len(names)) and (counts.sum(1) == len(names)).all()
    for row, means in zip(counts, found.resampled, strict=True):
        chosen = []
        for name, count in zip(names, row, strict=True):
            for _ in range(count):
                chosen += [(values[q], groups[q]) for q in np.flatnonzero(items == name)]
        assert means == pytest.approx(slow_means(chosen), nan_ok=True)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_case(0)
    whole = resample(*case, resamples=50)
    monkeypatch.setattr(bootstrap, "_CHUNK", 100)
    assert whole.resampled == pytest.approx(resample(*case, resamples=50).resampled, nan_ok=True)


def test_a_group_that_a_resample_misses_has_no_say_in_it() -> None:
    # The second group is one item of four: a resample lacks it with probability (3/4)⁴.
    means = resample(np.array([[0.0], [0.5], [1.0], [0.25]]), np.arange(4), np.array([0, 0, 0, 1]), resamples=400)
    missing = np.isnan(means.resampled[:, 1, 0])
    assert abs(missing.mean() - 0.75**4) < 4 * math.sqrt(0.75**4 * (1 - 0.75**4) / 400)
    assert (means.resampled[missing, 3] == means.resampled[missing, 0]).all()
    low, high = means.interval()
    assert low[1, 0] == high[1, 0] == 0.25 and np.isfinite([low, high]).all()


def single(values: np.ndarray, **more: int) -> Means:
    """One score, one group, an item a query."""
    return resample(values[:, None], np.arange(len(values)), np.zeros(len(values), int), **more)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_is_about_the_normal_interval(level: float) -> None:
    values = np.random.default_rng(0).random(400)
    low, high = single(values, resamples=4000).interval(level)
    z = {0.8: 1.2816, 0.95: 1.9600}[level]
    # A percentile of 4,000 draws has a standard error below 0.05 σ, skew shifts it by O(σ/√400).
    error = values.std() / 20
    assert low[0, 0] == pytest.approx(values.mean() - z * error, abs=0.2 * error)
    assert high[0, 0] == pytest.approx(values.mean() + z * error, abs=0.2 * error)


def test_queries_of_one_item_count_as_one_draw() -> None:
    values = np.random.default_rng(1).random(50)
    alone = single(values, resamples=500)
    nine = np.repeat(values, 9)[:, None]
    together = resample(nine, np.repeat(np.arange(50), 9), np.zeros(450, int), resamples=500)
    assert together.resampled == pytest.approx(alone.resampled)
    apart = resample(nine, np.arange(450), np.zeros(450, int), resamples=500)
    ratio = alone.resampled.std() / apart.resampled.std()  # √9, were it not for the noise of 500 draws
    assert 2.5 < ratio < 3.5


def test_95_of_100_intervals_hold_the_truth() -> None:
    rng, covered, trials = np.random.default_rng(2), 0, 300
    for trial in range(trials):
        low, high = single(rng.normal(0.3, 1, 60), resamples=300, seed=trial).interval()
        covered += bool(low[0, 0] <= 0.3 <= high[0, 0])
    # Of percentile intervals at n = 60 about 94 % do; four standard errors of 300 trials either way.
    assert abs(covered / trials - 0.94) < 4 * math.sqrt(0.94 * 0.06 / trials)


def test_a_difference_is_that_of_each_query() -> None:
    values, items, groups = random_case(4)
    found = resample(values, items, groups, resamples=200, seed=3).difference(0)
    direct = resample(values[:, 1:] - values[:, :1], items, groups, resamples=200, seed=3)
    assert found.point[:, 1:] == pytest.approx(direct.point)
    assert found.resampled[..., 1:] == pytest.approx(direct.resampled, nan_ok=True)
    for mine, theirs in zip(found.interval(), direct.interval(), strict=True):
        assert mine[:, 1:] == pytest.approx(theirs)
    assert (found.point[:, 0] == 0).all() and (found.p[:, 0] == 1).all()  # the reference itself


def test_p_is_the_share_on_the_other_side() -> None:
    values, items, groups = random_case(5)
    values[:, 1] = values[:, 0] + np.random.default_rng(0).normal(0.05, 0.3, len(values))
    there = resample(values, items, groups, resamples=300).difference(0)
    back = resample(values, items, groups, resamples=300).difference(1)
    for row in range(5):
        drawn = [value for value in there.resampled[:, row, 1] if not np.isnan(value)]
        rarer = min(sum(value <= 0 for value in drawn), sum(value >= 0 for value in drawn))
        assert there.p[row, 1] == min(1, 2 * (1 + rarer) / (1 + len(drawn))) == back.p[row, 0]
    assert 0 < there.p[3, 1] < 1
    values[:, 1] = values[:, 0] + 0.1
    assert resample(values, items, np.zeros(60, int), resamples=300).difference(0).p[0, 1] == 2 / 301


def test_p_of_equal_systems_is_rarely_small() -> None:
    rng, small, trials = np.random.default_rng(6), 0, 300
    for trial in range(trials):
        one = rng.normal(0, 1, (60, 1))
        values = np.concatenate([one, one + rng.normal(0, 1, (60, 1))], 1)
        means = resample(values, np.arange(60), np.zeros(60, int), resamples=300, seed=trial)
        small += bool(means.difference(0).p[0, 1] < 0.05)
    assert small / trials < 0.06 + 4 * math.sqrt(0.06 * 0.94 / trials)
