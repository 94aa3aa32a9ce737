"""The batched order equals `ranking.rank`, ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.evaluate import ordering
from pipelines.evaluate.ordering import blocks, order
from pipelines.search.ranking import rank

values = st.sampled_from([-1.0, -0.5, -1e-30, -0.0, 0.0, 1e-30, 0.25, 1.0, 3e38])


@settings(deadline=None)
@given(st.data())
def test_equals_the_ranking_rule(data: st.DataObject) -> None:
    queries, size = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))

    def matrix(elements: st.SearchStrategy[float], dtype: type) -> np.ndarray:
        return np.array(data.draw(st.lists(elements, min_size=queries * size, max_size=queries * size)), dtype).reshape(
            queries, size
        )

    similarity = matrix(values, np.float32)
    tier = matrix(st.integers(0, 3), np.int16) if data.draw(st.booleans()) else None
    secondary = matrix(values, np.float32) if data.draw(st.booleans()) else None
    limit = data.draw(st.none() | st.integers(0, size + 1))
    expected = [
        rank(
            None if tier is None else tier[row],
            similarity[row],
            np.arange(size),
            secondary=None if secondary is None else secondary[row],
            limit=limit,
        ).tolist()
        for row in range(queries)
    ]
    assert order(similarity, tier=tier, secondary=secondary, limit=limit).tolist() == expected


def test_equals_the_ranking_rule_on_many_candidates() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.standard_normal((5, 3000)).astype(np.float32).round(2)
    tier, secondary = rng.integers(0, 400, (5, 3000)), rng.standard_normal((5, 3000)).astype(np.float32).round(1)
    found = order(similarity, tier=tier, secondary=secondary)
    for row in range(5):
        assert (found[row] == rank(tier[row], similarity[row], np.arange(3000), secondary=secondary[row])).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    similarity, secondary = (rng.integers(-3, 4, (23, 50)).astype(np.float32) for _ in range(2))
    tier, own = rng.integers(0, 3, (23, 50)), rng.integers(-1, 50, 23)
    for more in ({}, {"secondary": secondary}, {"limit": 7}, {"secondary": secondary, "limit": 7}):
        whole = order(similarity, tier=tier, own=own, **more)
        with monkeypatch.context() as patch:
            patch.setattr(ordering, "_BLOCK", 200)
            assert (order(similarity, tier=tier, own=own, **more) == whole).all()


def test_the_layout_and_the_type_change_nothing() -> None:
    rng = np.random.default_rng(2)
    similarity, secondary = (rng.integers(-3, 4, (9, 40)).astype(np.float32) for _ in range(2))
    whole = order(similarity, secondary=secondary)
    assert (order(np.asfortranarray(similarity), secondary=np.asfortranarray(secondary)) == whole).all()
    assert (order(similarity.astype(np.float64), secondary=secondary.astype(np.float64)) == whole).all()


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_blocks_are_all_queries_once(count: int) -> None:
    for size in (0, 1, 30_000, 10**6):
        rows = [row for part in blocks(count, size) for row in range(part.start, part.stop)]
        assert rows == list(range(count))


def test_the_query_itself_is_last() -> None:
    similarity = np.array([[0.1, 0.9, 0.9], [0.5, 0.2, 0.1]], np.float32)
    assert order(similarity, own=np.array([1, -1])).tolist() == [[2, 0, 1], [0, 1, 2]]
    tier = np.array([[0, 3, 1], [0, 0, 1]])
    assert order(similarity, own=np.array([1, -1]), tier=tier, secondary=similarity).tolist() == [[2, 0, 1], [2, 0, 1]]


def test_empty() -> None:
    assert order(np.zeros((2, 0), np.float32)).shape == (2, 0)
    assert order(np.zeros((0, 4), np.float32), tier=np.zeros((0, 4), int)).shape == (0, 4)


def test_refuses_what_has_no_order() -> None:
    with pytest.raises(AssertionError, match="finite"):
        order(np.array([[0.0, np.nan]], np.float32))
