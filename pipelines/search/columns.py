"""The embeddings of a table's rows, to be compared with a query: in memory, or read anew where the budget ends.

All ways give the same similarities (`pipelines.search.products`). So what is equal ties, equal pictures under two ids
above all, and ties are broken by id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.errors import StoreError

from .matrices import SPARSE, Matrix, MatrixCache
from .products import products
from .table_rows import TableRows

T = TypeVar("T")

FETCHING = 8  # rows that a scan reads while one is fetched
_FINDING = 32  # and while one is found by the table's vector index
_NONE = np.empty(0, np.float32)


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
        """Bytes that its rows take in memory, at most, with their sketches and where each stands."""
        looked_up = 4 * min(len(self.rows.ids), SPARSE * self.count)
        return self.count * (self.width * 2 + -(-self.width // 4) + 8) + looked_up

    def similarities(self, query: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """Dot products of some items with a query; NaN for those that have no row here.

        Args:
            query: of width D.
            wanted: w different positions.

        Returns:
            w.

        Raises:
            StoreError: the table is not what it should be.
        """
        assert query.shape == (self.width,) and query.dtype == np.float32
        matrix = self.cache.kept(self.key)
        if matrix is None and len(wanted) <= self.count // FETCHING:
            result = np.full(len(wanted), np.nan, np.float32)
            places, fetched = self.rows.fetch(wanted)
            result[places] = products(embeddings(fetched, self.width), query)
            return result
        matrix = matrix or self._matrix()
        if matrix is None:
            ids, parts = self._read(lambda rows: products(rows, query))
            row, similarity = Matrix(self.rows.locate(ids), np.empty((0, 0), np.float16)).find(wanted), [_NONE, *parts]
            result = np.full(len(wanted), np.nan, np.float32)
            result[row >= 0] = np.concatenate(similarity)[row[row >= 0]]
            return result
        return products(matrix.rows, query, matrix.find(wanted))

    def sketched(self, query: NDArray[np.float32], wanted: NDArray[np.int64]) -> NDArray[np.float32]:
        """`similarities` by the sketches, whose error is not bounded; the same where there are none."""
        matrix = self._matrix()
        if matrix is None or matrix.partitions is None:
            return self.similarities(query, wanted)
        sketches = matrix.partitions.sketches
        return sketches.similarities(sketches.coordinates(query), matrix.find(wanted))

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
        coordinates = matrix.partitions.sketches.coordinates(query)
        return matrix.position[matrix.partitions.near(coordinates, matrix.position, among, least, shortlist=shortlist)]

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
        matrix = self._by_position()
        return matrix if self.count < self.cache.partition_from else matrix.partitioned(self.cache.like(self.key))

    def _by_position(self) -> Matrix:
        """All embeddings in the order of the items, as what is made of them is not to depend on the table's order."""
        rows = np.empty((self.count, self.width), np.float16)
        done = 0

        def keep(part: NDArray[np.float16]) -> None:
            nonlocal done
            rows[done : done + len(part)] = part
            done += len(part)

        position = self.rows.locate(self._read(keep)[0])
        order = np.argsort(position)
        return Matrix(position[order], rows[order])

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


def embeddings(column: pa.Array, width: int) -> NDArray[np.float16]:
    """A column of n embeddings -> n×width float16, writable. Raises `StoreError` for a wrong width or missing ones."""
    if column.type.list_size != width or column.null_count:
        raise StoreError(f"an embedding column is {column.type} with {column.null_count} missing; wanted width {width}")
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return values if values.flags.writeable else values.copy()  # compiled loops want them so
