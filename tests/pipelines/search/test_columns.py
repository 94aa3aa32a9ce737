from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from pipelines.errors import StoreError
from pipelines.search.columns import EmbeddingColumn, embeddings
from pipelines.search.item_ids import ItemIds
from pipelines.search.matrices import MatrixCache
from pipelines.search.table_rows import TableRows

from .world import View


class OneTable:
    """A reader of a table in memory, with rows of the items at some positions."""

    snapshot = View()

    def __init__(self, rows: np.ndarray, batch: int, position: np.ndarray) -> None:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel(), pa.float16()), rows.shape[1])
        self._rows = pa.table({"item_id": [f"{n:04d}" for n in position], "embedding": vectors})
        self._batch, self.schema, self.rows_read = batch, self._rows.schema, 0

    def dataset(self, table: str) -> OneTable:
        return self

    def to_batches(self, *, columns: list[str], filter: Any) -> Iterator[pa.RecordBatch]:
        for batch in ds.dataset(self._rows).to_batches(columns=columns, filter=filter, batch_size=self._batch):
            self.rows_read += len(batch)
            yield batch


def column(
    rows: np.ndarray, batch: int, cache: MatrixCache, position: np.ndarray | None = None
) -> tuple[EmbeddingColumn, OneTable]:
    position = np.arange(len(rows)) if position is None else position
    table, ids = OneTable(rows, batch, position), ItemIds(pa.array([f"{n:04d}" for n in range(position.max() + 1)]))
    found = TableRows(cast(Any, table), "attribute-cut", ids)
    return EmbeddingColumn(("s",), len(rows), rows.shape[1], found, cache), table


@pytest.mark.parametrize("width", [1, 3, 64, 257, 1000])
def test_a_rows_similarity_does_not_depend_on_its_company(width: int) -> None:
    rng = np.random.default_rng(width)
    rows = rng.standard_normal((700, width)).astype(np.float16)
    query = rng.standard_normal(width).astype(np.float32)
    one = np.arange(1)
    alone = [column(rows[n : n + 1], 1, MatrixCache(0))[0].similarities(query, one)[0] for n in range(0, 700, 50)]
    for batch, budget in ((1, 0), (33, 0), (700, 0), (33, 10**9)):
        columns, _ = column(rows, batch, MatrixCache(budget))
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
    columns, _ = column(rows, 7, MatrixCache(budget), position)
    query, expected = np.ones(4, np.float32), np.full(50, np.nan, np.float32)
    expected[position] = rows.astype(np.float64).sum(1)
    others = np.setdiff1d(np.arange(position.max() + 1), position)
    expected = expected[: position.max() + 1]
    for wanted in (
        np.arange(len(expected)),
        np.arange(0, len(expected), 7),
        others[:2],
        position[:2],
        np.arange(0),
        np.sort(position),
        others,
    ):
        np.testing.assert_array_equal(columns.similarities(query, wanted), expected[wanted])


@pytest.mark.parametrize("stated", [3, 5])
def test_another_number_of_rows_than_stated_is_damage(stated: int) -> None:
    rows = np.ones((4, 2), np.float16)
    for budget in (0, 10**9):
        wrong = replace(column(rows, 2, MatrixCache(budget))[0], count=stated)
        with pytest.raises(StoreError, match="more than 3" if stated == 3 else "fewer than 5"):
            wrong.similarities(np.ones(2, np.float32), np.arange(4))


def test_few_of_many_rows_are_fetched_alone() -> None:
    rows = np.random.default_rng(0).standard_normal((800, 8)).astype(np.float16)
    query = np.ones(8, np.float32)
    expected = column(rows, 100, MatrixCache(10**9))[0].similarities(query, np.arange(800))
    for wanted, read in ((np.arange(0, 800, 8), 100), (np.arange(0, 800, 7), 800)):
        columns, table = column(rows, 100, MatrixCache(0))
        assert columns.similarities(query, wanted).tolist() == expected[wanted].tolist()
        assert table.rows_read == read
    columns, table = column(rows, 100, MatrixCache(10**9))
    columns.load()
    columns.similarities(query, np.arange(10))
    assert table.rows_read == 800  # what is in memory is not read again


def test_two_rows_of_an_item_are_damage() -> None:
    position = np.array([*range(39), 38])
    columns, _ = column(np.ones((40, 2), np.float16), 7, MatrixCache(0), position)
    with pytest.raises(StoreError, match="two rows"):
        columns.similarities(np.ones(2, np.float32), np.array([3, 38]))


def test_missing_and_misshapen_embeddings_are_damage() -> None:
    kind = pa.list_(pa.float16(), 2)
    with pytest.raises(StoreError):
        embeddings(pa.array([[1, 2], None], kind), 2)
    with pytest.raises(StoreError):
        embeddings(pa.array([[1, 2]], kind), 3)
    part = pa.array([[1, 2], [3, 4], [5, 6]], kind).slice(1, 1)
    assert embeddings(part, 2).tolist() == [[3, 4]]


@pytest.mark.parametrize("items", [300, 2000, 9000])
def test_what_it_takes_in_memory_is_counted(items: int) -> None:
    position = np.append(np.random.default_rng(0).permutation(items - 1)[:299], items - 1)
    cache = MatrixCache(10**9)
    columns, _ = column(np.ones((300, 8), np.float16), 100, cache, position)
    columns.load()
    matrix = cache.kept(columns.key)
    assert matrix is not None and matrix.find(np.arange(5)).shape == (5,)
    taken = sum(array.nbytes for array in vars(matrix).values() if isinstance(array, np.ndarray))
    assert taken <= columns.size < taken + 32 * 300


def test_a_table_that_is_loaded_is_held_twice_at_most() -> None:
    points = np.random.default_rng(0).standard_normal((9000, 6))
    rows = np.tanh(points @ np.random.default_rng(1).standard_normal((6, 256)) / 3).astype(np.float16)
    cache = MatrixCache(10**9)
    columns, _ = column(rows, 1000, cache, np.random.default_rng(2).permutation(9000))
    tracemalloc.start()
    columns.load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    matrix = cache.kept(columns.key)
    assert matrix is not None and matrix.partitions is not None
    assert peak < 2.5 * rows.nbytes
