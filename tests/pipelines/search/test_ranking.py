from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.search.ranking import condition_keys, id_ranks, mean_similarity, rank


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 120), st.booleans(), st.booleans(), st.none() | st.integers(0, 40))
def test_ranks_as_a_sort_of_tuples(seed: int, count: int, tiers: bool, secondary: bool, limit: int | None) -> None:
    rng = np.random.default_rng(seed)
    ids = [f"{i:03d}" for i in rng.permutation(count)]
    tier = rng.integers(0, 3, count)
    first, second = rng.integers(0, 3, count) / 2, rng.integers(0, 3, count) / 2
    keys = [(-tier[i] * tiers, -first[i], -second[i] * secondary, ids[i]) for i in range(count)]
    expected = sorted(range(count), key=lambda i: keys[i])[:limit]
    found = rank(tier if tiers else None, first, id_ranks(ids), secondary=second if secondary else None, limit=limit)
    assert found.tolist() == expected


def test_ids_are_ranked_as_text() -> None:
    assert id_ranks(["b", "a10", "ü", "a9", "B"]).tolist() == [3, 1, 4, 2, 0]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(0, 4), st.booleans(), st.booleans())
def test_condition_keys_one_by_one(seed: int, count: int, classes: int, counted: bool, level: bool) -> None:
    rng = np.random.default_rng(seed)
    carried = rng.random((count, classes)) < 0.5
    by_class = np.where(carried, rng.integers(-4, 5, (count, classes)) / 4, np.nan).astype(np.float32)
    by_attribute = (rng.integers(-4, 5, count) / 4).astype(np.float32)
    tier, similarity = condition_keys(carried, by_class if level else None, by_attribute, count=counted)
    for i in range(count):
        own = [float(s) for s, has in zip(by_class[i], carried[i], strict=True) if has]
        assert tier[i] == (len(own) if counted else bool(own))
        assert similarity[i] == (sum(own) / len(own) if own and level else by_attribute[i])
    assert not np.isnan(similarity).any()


def test_means_by_weight() -> None:
    parts = [np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)]
    assert mean_similarity(parts).tolist() == [0.5, 0.5]
    assert mean_similarity(parts, [3, 1]).tolist() == [0.75, 0.25]
    assert mean_similarity(parts[:1], [3]).tolist() == [1, 0]
