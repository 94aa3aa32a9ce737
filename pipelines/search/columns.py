"""The embeddings of a table's rows, to be compared with a query: in memory, or read anew where the budget ends.

All ways give the same similarities. A product is summed in double precision and then rounded to single: the order of
summation, which varies with the rows that stand beside one, is rounded away. So what is equal ties, equal pictures
under two ids above all, and ties are broken by id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipelines.errors import StoreError

from .matrices import Matrix, MatrixCache
from .partitions import Rows
from .table_rows import TableRows

T = TypeVar("T")

_BLOCK = 64  # rows that are widened at once; they stay in the processor's cache
_STEP = 256  # rows by which a product in half precision grows: oneDNN compiles one for each number of rows
FETCHING = 8  # rows that a scan reads while one is fetched
_FINDING = 32  # and while one is found by the table's vector index
_NONE = np.empty(0, np.float32)


class Precision(Enum):
    """How well similarities are computed."""

    EXACT = auto()
    HALF = auto()  # within `ESTIMATE_ERROR`, in a sixth of the time
    SKETCH = auto()  # of the sketches where there are partitions: the error is not bounded


# How far an estimate may be off, of vectors of norm 1: the query and the result are rounded to half precision, 2⁻¹² of
# their size each, and the sum is kept in single. Twice as much leaves room for norms that are not quite 1.
ESTIMATE_ERROR = 2**-10


@dataclass(frozen=True)
class EmbeddingColumn:
    """The embeddings of some rows of a table, at most one of an item.

    Args:
        key: snapshot, table and class: unique among all columns that share a cache.
        count: n, rows that there must be.
        width: D.
        rows: of the table.
        cache: where the matrix is kept.
    """

    key: tuple[str, ...]
    count: int
    width: int
    rows: TableRows
    cache: MatrixCache

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, at most."""
        return self.count * (self.width * 2 + self.width // 2 + 12)

    def similarities(
        self, query: NDArray[np.float32], wanted: NDArray[np.int64], precision: Precision = Precision.EXACT
    ) -> NDArray[np.float32]:
        """Dot products of some items with a query; NaN for those that have no row here.

        Args:
            query: of width D.
            wanted: w different positions.
            precision: of what is not in memory they are exact in any case.

        Returns:
            w.

        Raises:
            StoreError: the table is not what it should be.
        """
        assert query.shape == (self.width,) and query.dtype == np.float32
        matrix = self.cache.kept(self.key) if precision is Precision.EXACT else None
        if matrix is None and precision is Precision.EXACT and len(wanted) <= self.count // FETCHING:
            result = np.full(len(wanted), np.nan, np.float32)
            places, fetched = self.rows.fetch(wanted)
            result[places] = _products(embeddings(fetched, self.width), query)
            return result
        matrix = matrix or self._matrix()
        if matrix is None:
            ids, parts = self._read(lambda rows: _products(rows, query))
            row, values = Matrix(self.rows.locate(ids), np.empty((0, 0), np.float16)).find(wanted), [_NONE, *parts]
            return _spread(row, np.concatenate(values)[row[row >= 0]])
        row, rows, vector = matrix.find(wanted), matrix.rows, query
        if precision is Precision.SKETCH and matrix.partitions is not None:
            rows, vector = matrix.partitions.sketches, matrix.partitions.sketch(query)
        multiply = _products if precision is Precision.EXACT else _half_products
        there = row if row.min(initial=0) >= 0 else row[row >= 0]
        if 2 * len(there) > self.count:
            return _spread(row, multiply(rows, vector)[there])
        return _spread(row, multiply(rows, vector, there))

    def near(
        self, query: NDArray[np.float32], among: NDArray[np.bool_], least: int, *, shortlist: bool
    ) -> NDArray[np.int64] | None:
        """Positions of the items of which the nearest are most probably a part.

        Args:
            query: of width D.
            among: N, of these items only.
            least: so many at least, or all of them that have a row here.
            shortlist: just so many, the nearest by their sketches.

        Returns:
            Those in the partitions nearest to it; all that have a row where there are no partitions; None if the
            embeddings are not in memory.
        """
        matrix = self._matrix()
        if matrix is None:
            return None
        if matrix.partitions is None:
            return matrix.position[among[matrix.position]]
        sketch, found, count = matrix.partitions.sketch(query), [], 0
        for rows in matrix.partitions.nearest(sketch):
            there = among[matrix.position[rows]]
            found.append(rows if there.all() else rows[there])
            count += len(found[-1])
            if count >= least:
                break
        rows = found[0] if len(found) == 1 else np.concatenate(found)
        if shortlist and count > least:
            similarity = _half_products(matrix.partitions.sketches, sketch, rows)
            rows = np.sort(rows[np.argpartition(similarity, count - least)[count - least :]])
        return matrix.position[rows]

    def near_by_index(
        self, query: NDArray[np.float32], among: NDArray[np.bool_], least: int
    ) -> NDArray[np.int64] | None:
        """Positions of the `least` nearest, about, by the vector index of the table.

        Args:
            query: of width D.
            among: N, of these items only.
            least: so many.

        Returns:
            So many; None if the table has no vector index, if that finds too few, or would have to find so many others
            that the table is read in less time.
        """
        count = least + least // 4  # a few may not be among them, as the query itself
        while count <= self.count // _FINDING:
            found = self.rows.nearest(query, count)
            if found is None:
                return None
            there = found[among[found]]
            if len(there) >= least:
                return np.sort(there[:least])
            if len(found) < count:
                return None
            count = max(2 * count, count * least // max(len(there), 1))
        return None

    def load(self) -> None:
        """Read it into memory, if it may be kept there. Raises `StoreError`."""
        self._matrix()

    def embedding(self, position: int) -> NDArray[np.float16] | None:
        """One item's embedding, D, if it is in memory; else None, and nothing is loaded for it."""
        matrix = self.cache.kept(self.key)
        if matrix is None:
            return None
        row = int(matrix.find(np.array([position]))[0])
        return None if row < 0 else matrix.rows[row]

    def _matrix(self) -> Matrix | None:
        return self.cache.get(self.key, self.size, self._load)

    def _load(self) -> Matrix:
        rows = np.empty((self.count, self.width), np.float16)
        done = 0

        def keep(part: NDArray[np.float16]) -> None:
            nonlocal done
            rows[done : done + len(part)] = part
            done += len(part)

        position = self.rows.locate(self._read(keep)[0])
        order = np.argsort(position)
        matrix = Matrix(position[order], rows[order])
        return matrix if self.count < self.cache.partition_from else matrix.partitioned(self.cache.like(self.key))

    def _read(self, use: Callable[[NDArray[np.float16]], T]) -> tuple[pa.ChunkedArray, list[T]]:
        """All ids, and what `use` makes of each batch of embeddings."""
        ids, results, done = [], [], 0
        for batch in self.rows.scan():
            ids.append(batch.column("item_id"))
            done += len(ids[-1])
            if done > self.count:
                break
            results.append(use(embeddings(batch.column("embedding"), self.width)))
        if done != self.count:
            found = "more" if done > self.count else "fewer"
            raise StoreError(f"{self.rows}: {found} than {self.count} embeddings; ingest it anew")
        return pa.chunked_array(ids, pa.string()), results


def _spread(row: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values of those that have a row, NaN for the others."""
    if len(values) == len(row):
        return values
    result = np.full(len(row), np.nan, np.float32)
    result[row >= 0] = values
    return result


def _products(rows: Rows, query: NDArray[np.float32], which: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """Of all rows, or of those."""
    chosen = rows if which is None else rows[which]
    vector = torch.from_numpy(query).double()
    result = np.empty(len(chosen), np.float32)
    for start in range(0, len(chosen), _BLOCK):
        block = torch.from_numpy(chosen[start : start + _BLOCK]).float().double()  # by way of float: twice as fast
        result[start : start + _BLOCK] = (block @ vector).numpy()
    return result


def _half_products(
    rows: Rows, query: NDArray[np.float32], which: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Of all rows, or of those."""
    chosen, count = rows, len(rows)
    if which is not None:
        count = len(which)
        chosen = np.empty((-(-count // _STEP) * _STEP, rows.shape[1]), np.float16)
        np.take(rows, which, axis=0, out=chosen[:count], mode="clip")  # "raise" would copy once more
        chosen[count:] = 0
    product: NDArray[np.float32] = (torch.from_numpy(chosen) @ torch.from_numpy(query).half())[:count].float().numpy()
    return product


def embeddings(column: pa.Array, width: int) -> NDArray[np.float16]:
    """A column of n embeddings -> n×width float16, writable. Raises `StoreError` for a wrong width or missing ones."""
    if column.type.list_size != width or column.null_count:
        raise StoreError(f"an embedding column is {column.type} with {column.null_count} missing; wanted width {width}")
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return values if values.flags.writeable else values.copy()  # torch warns of arrays that cannot be written
