"""Embeddings of a table as rows to multiply with a query: in memory as far as a byte budget goes, streamed beyond it.

Both ways give the same similarities. A product is summed in double precision and then rounded to single: the order of
summation, which varies with the rows that stand beside one, is rounded away. So what is equal ties, equal pictures
under two ids above all, and ties are broken by id.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pipelines.errors import StoreError

T = TypeVar("T")
Key = tuple[str, ...]  # snapshot, table, and the class where it is of one

# How far an estimate may be off, of vectors of norm 1: the query and the result are rounded to half precision, 2⁻¹² of
# their size each, and the sum is kept in single. Twice as much leaves room for norms that are not quite 1.
ESTIMATE_ERROR = 2**-10
_BLOCK = 256  # rows that are widened at once; they stay in the processor's cache


class MatrixCache:
    """Least-recently-used matrices within a budget; safe for threads.

    Args:
        limit_bytes: of all matrices together; a matrix that alone has more is never kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[int, Future[Matrix]]] = OrderedDict()
        self._bytes = 0

    @property
    def used_bytes(self) -> int:
        """Of all matrices that are kept, or being loaded."""
        return self._bytes

    def get(self, key: Key, size: int, load: Callable[[], Matrix]) -> Matrix | None:
        """The matrix of that key, loaded once for all threads that ask; None if its `size` in bytes is over budget."""
        if size > self.limit_bytes:
            return None
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            else:
                while self._bytes + size > self.limit_bytes:
                    _, (gone, _) = self._kept.popitem(last=False)
                    self._bytes -= gone
                future: Future[Matrix] = Future()
                self._kept[key] = size, future
                self._bytes += size
        if found is not None:
            return found[1].result()
        try:
            future.set_result(load())
        except BaseException as error:
            future.set_exception(error)
            self._forget(key, future)
            raise
        return future.result()

    def residents(self) -> list[Key]:
        """Of the matrices that are in memory, the least recently used first."""
        with self._lock:
            return list(self._kept)

    def kept(self, key: Key) -> Matrix | None:
        """The matrix of that key if it is in memory now."""
        with self._lock:
            found = self._kept.get(key)
        return found[1].result() if found is not None and found[1].done() and not found[1].exception() else None

    def _forget(self, key: Key, future: Future[Matrix]) -> None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[1] is future:
                del self._kept[key]
                self._bytes -= kept[0]


@dataclass(frozen=True)
class Matrix:
    """Embeddings in memory.

    Args:
        position: n, each row's item as a position among the snapshot's items; ascending.
        rows: n×D.
    """

    position: NDArray[np.int64]
    rows: NDArray[np.float16]


@dataclass(frozen=True)
class EmbeddingColumn:
    """The embeddings of some rows of a table, at most one of an item.

    Args:
        key: snapshot, table and class: unique among all columns that share a cache.
        count: n, rows that there must be.
        width: D.
        scan: reads the columns ``item_id`` and ``embedding`` of just these rows, batch by batch, in any order.
        locate: item ids -> positions among the snapshot's items.
        cache: where the matrix is kept.
    """

    key: tuple[str, ...]
    count: int
    width: int
    scan: Callable[[], Iterable[pa.RecordBatch]]
    locate: Callable[[pa.ChunkedArray], NDArray[np.int64]]
    cache: MatrixCache

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        return self.count * (self.width * 2 + 8)

    def similarities(
        self, query: NDArray[np.float32], wanted: NDArray[np.int64], *, estimate: bool = False
    ) -> NDArray[np.float32]:
        """Dot products of some items with a query; NaN for those that have no row here.

        Args:
            query: of width D.
            wanted: w ascending positions.
            estimate: within `ESTIMATE_ERROR`, in a sixth of the time; of what is streamed they are exact all the same.

        Returns:
            w.

        Raises:
            StoreError: the table is not what it should be.
        """
        assert query.shape == (self.width,) and query.dtype == np.float32
        matrix = self.cache.get(self.key, self.size, self._load)
        multiply = _estimates if estimate else _products
        if matrix is None:
            ids, parts = self._read(lambda rows: _products(rows, query))
            return _at(wanted, self.locate(ids), np.concatenate([np.empty(0, np.float32), *parts]))
        if 2 * len(wanted) > self.count:
            return _at(wanted, matrix.position, multiply(matrix.rows, query))
        place = np.searchsorted(matrix.position, wanted)
        there = np.flatnonzero(matrix.position[np.minimum(place, self.count - 1)] == wanted)
        result = np.full(len(wanted), np.nan, np.float32)
        result[there] = multiply(matrix.rows[place[there]], query)
        return result

    def load(self) -> None:
        """Read it into memory, if it may be kept there. Raises `StoreError`."""
        self.cache.get(self.key, self.size, self._load)

    def embedding(self, position: int) -> NDArray[np.float16] | None:
        """One item's embedding, D, if it is in memory; else None, and nothing is loaded for it."""
        matrix = self.cache.kept(self.key)
        if matrix is None:
            return None
        place = int(np.searchsorted(matrix.position, position))
        return matrix.rows[place] if place < self.count and matrix.position[place] == position else None

    def _load(self) -> Matrix:
        rows = np.empty((self.count, self.width), np.float16)
        done = 0

        def keep(part: NDArray[np.float16]) -> None:
            nonlocal done
            rows[done : done + len(part)] = part
            done += len(part)

        position = self.locate(self._read(keep)[0])
        order = np.argsort(position)
        return Matrix(position[order], rows[order])

    def _read(self, use: Callable[[NDArray[np.float16]], T]) -> tuple[pa.ChunkedArray, list[T]]:
        """All ids, and what `use` makes of each batch of embeddings."""
        ids, results, done = [], [], 0
        for batch in self.scan():
            ids.append(batch.column("item_id"))
            done += len(ids[-1])
            if done > self.count:
                break
            results.append(use(embeddings(batch.column("embedding"), self.width)))
        if done != self.count:
            found = "more" if done > self.count else "fewer"
            raise StoreError(f"snapshot {' '.join(self.key)}: {found} than {self.count} embeddings; ingest it anew")
        return pa.chunked_array(ids, pa.string()), results


def _at(wanted: NDArray[np.int64], position: NDArray[np.int64], similarity: NDArray[np.float32]) -> NDArray[np.float32]:
    """The similarities of n items, at their positions, at w others; NaN where none of the n is."""
    if not len(wanted):
        return np.empty(0, np.float32)
    spread = np.full(max(int(wanted[-1]), int(position.max(initial=-1))) + 1, np.nan, np.float32)
    spread[position] = similarity
    return spread[wanted]


def _products(rows: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    vector = torch.from_numpy(query).double()
    result = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = torch.from_numpy(rows[start : start + _BLOCK]).float().double()  # by way of float: twice as fast
        result[start : start + _BLOCK] = (block @ vector).numpy()
    return result


def _estimates(rows: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = (torch.from_numpy(rows) @ torch.from_numpy(query).half()).float().numpy()
    return result


def embeddings(column: pa.Array, width: int) -> NDArray[np.float16]:
    """A column of n embeddings -> n×width float16, writable. Raises `StoreError` for a wrong width or missing ones."""
    if column.type.list_size != width or column.null_count:
        raise StoreError(f"an embedding column is {column.type} with {column.null_count} missing; wanted width {width}")
    values = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return values if values.flags.writeable else values.copy()  # torch warns of arrays that cannot be written
