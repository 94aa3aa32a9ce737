from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import StoreError
from pipelines.search.columns import ESTIMATE_ERROR, EmbeddingColumn, Precision, embeddings
from pipelines.search.matrices import MatrixCache


def column(rows: np.ndarray, batch: int, cache: MatrixCache) -> EmbeddingColumn:
    ids = [f"{n:04d}" for n in range(len(rows))]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), pa.float16()), rows.shape[1])
    table = pa.table({"item_id": ids, "embedding": vectors})

    def locate(found: pa.ChunkedArray) -> np.ndarray:
        return np.array([int(one) for one in found.to_pylist()], np.int64)

    return EmbeddingColumn(("s",), len(rows), rows.shape[1], lambda: table.to_batches(batch), locate, cache)


@pytest.mark.parametrize("width", [1, 3, 64, 257, 1000])
def test_a_rows_similarity_does_not_depend_on_its_company(width: int) -> None:
    rng = np.random.default_rng(width)
    rows = rng.standard_normal((700, width)).astype(np.float16)
    query = rng.standard_normal(width).astype(np.float32)
    one = np.arange(1)
    alone = [column(rows[n : n + 1], 1, MatrixCache(0)).similarities(query, one)[0] for n in range(0, 700, 50)]
    for batch, budget in ((1, 0), (33, 0), (700, 0), (33, 10**9)):
        columns = column(rows, batch, MatrixCache(budget))
        similarity = columns.similarities(query, np.arange(700))
        assert similarity[::50].tolist() == alone
        np.testing.assert_allclose(similarity, rows.astype(np.float64) @ query, rtol=1e-3, atol=1e-3)
        for share in (0, 0.01, 0.3, 0.8):
            wanted = np.flatnonzero(rng.random(700) < share)
            assert columns.similarities(query, wanted).tolist() == similarity[wanted].tolist()


@pytest.mark.parametrize("budget", [0, 10**9])
def test_items_without_a_row_have_no_similarity(budget: int) -> None:
    rng = np.random.default_rng(0)
    position, rows = rng.permutation(50)[:20], rng.standard_normal((20, 4)).astype(np.float16)
    whole = column(rows, 7, MatrixCache(budget))
    columns = EmbeddingColumn(whole.key, 20, 4, whole.scan, lambda ids: position[whole.locate(ids)], whole.cache)
    query, expected = np.ones(4, np.float32), np.full(50, np.nan, np.float32)
    expected[position] = rows.astype(np.float64).sum(1)
    others = np.setdiff1d(np.arange(50), position)
    for wanted in (np.arange(50), np.arange(0, 50, 7), np.arange(0), np.sort(position), others):
        np.testing.assert_array_equal(columns.similarities(query, wanted), expected[wanted])


@pytest.mark.parametrize("kind", ["random", "alike", "one direction", "few large"])
@pytest.mark.parametrize("width", [1, 3, 64, 257, 1024])
def test_estimates_are_within_their_error(width: int, kind: str) -> None:
    rng = np.random.default_rng(width)
    rows = rng.standard_normal((2000, width))
    if kind == "alike":
        rows = rng.standard_normal(width) + 0.01 * rows
    elif kind == "one direction":
        rows = np.abs(rows)
    elif kind == "few large":
        rows = rows**5
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    query = rows[0].astype(np.float32) + 0.1 * rng.standard_normal(width).astype(np.float32) / width**0.5
    query /= np.linalg.norm(query)
    columns, every = column(rows, 100, MatrixCache(10**9)), np.arange(2000)
    exact = columns.similarities(query, every)
    worst = float(np.abs(exact - columns.similarities(query, every, Precision.HALF)).max())
    assert worst <= ESTIMATE_ERROR
    assert worst > 0 or width == 1  # they are estimates


@pytest.mark.parametrize("stated", [3, 5])
def test_another_number_of_rows_than_stated_is_damage(stated: int) -> None:
    rows = np.ones((4, 2), np.float16)
    for budget in (0, 10**9):
        whole = column(rows, 2, MatrixCache(budget))
        wrong = EmbeddingColumn(whole.key, stated, 2, whole.scan, whole.locate, whole.cache)
        with pytest.raises(StoreError, match="more than 3" if stated == 3 else "fewer than 5"):
            wrong.similarities(np.ones(2, np.float32), np.arange(4))


def test_missing_and_misshapen_embeddings_are_damage() -> None:
    kind = pa.list_(pa.float16(), 2)
    with pytest.raises(StoreError):
        embeddings(pa.array([[1, 2], None], kind), 2)
    with pytest.raises(StoreError):
        embeddings(pa.array([[1, 2]], kind), 3)
    part = pa.array([[1, 2], [3, 4], [5, 6]], kind).slice(1, 1)
    assert embeddings(part, 2).tolist() == [[3, 4]]
