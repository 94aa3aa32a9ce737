"""Embeddings that are kept in memory, as far as a byte budget goes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .partitions import Partitions, partition
from .products import Rows

SPARSE = 8  # items for each row, from which on rows are searched for instead of looked up
Key = tuple[str, ...]  # snapshot, table, and the class where it is of one


class MatrixCache:
    """Least-recently-used matrices within a budget; safe for threads.

    Args:
        limit_bytes: of all matrices together; a matrix that alone has more is never kept.
        partition_from: rows from which a matrix is partitioned; with fewer, all of them are compared.
    """

    def __init__(self, limit_bytes: int, *, partition_from: int = 8192) -> None:
        self.limit_bytes, self.partition_from = limit_bytes, partition_from
        self._lock = threading.Condition()
        self._kept: OrderedDict[Key, tuple[int, Future[Matrix]]] = OrderedDict()
        self._bytes = 0

    @property
    def used_bytes(self) -> int:
        """Of all matrices that are kept, or being loaded."""
        return self._bytes

    def get(self, key: Key, size: int, load: Callable[[], Matrix]) -> Matrix | None:
        """The matrix of that key, loaded once for all threads that ask; None if its `size` in bytes is over budget.

        It waits while others that are being loaded take the budget; `load` must not ask for a matrix itself.
        """
        if size > self.limit_bytes:
            return None
        with self._lock:
            while (found := self._kept.get(key)) is None and not self._make_room(size):
                self._lock.wait()
            if found is not None:
                self._kept.move_to_end(key)
            else:
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
        finally:
            with self._lock:
                self._lock.notify_all()
        return future.result()

    def residents(self) -> list[Key]:
        """Of the matrices that are in memory, the least recently used first."""
        with self._lock:
            return list(self._kept)

    def kept(self, key: Key) -> Matrix | None:
        """The matrix of that key if it is in memory now."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        return found[1].result() if found is not None and found[1].done() and not found[1].exception() else None

    def like(self, key: Key) -> Matrix | None:
        """The latest matrix in memory of the same table and class in another snapshot."""
        with self._lock:
            others = [other for other in self._kept if other != key and other[1:] == key[1:]]
        return next((matrix for matrix in map(self.kept, reversed(others)) if matrix is not None), None)

    def keep(self, snapshots: Collection[str]) -> None:
        """Let go of the matrices of all other snapshots: nobody is to ask for them, and they would fill the budget."""
        with self._lock:
            for key in [key for key in self._kept if key[0] not in snapshots]:
                self._bytes -= self._kept.pop(key)[0]
            self._lock.notify_all()

    def _make_room(self, size: int) -> bool:
        """Let go of the least recently used as far as `size` bytes need; not of what is being loaded: it frees nothing.

        Returns:
            Whether there is room. If there is none, nothing is let go of: others would load it again meanwhile.
        """
        loaded = [key for key, (_, future) in self._kept.items() if future.done()]
        if self._bytes - sum(self._kept[key][0] for key in loaded) + size > self.limit_bytes:
            return False
        for key in loaded:
            if self._bytes + size <= self.limit_bytes:
                break
            self._bytes -= self._kept.pop(key)[0]
        return True

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
        position: n, each row's item as a position among the snapshot's items.
        rows: n×D.
        partitions: of the rows, which are sorted by them; None where all are compared.
    """

    position: NDArray[np.int64]
    rows: Rows
    partitions: Partitions | None = None

    @cached_property
    def _row_of(self) -> NDArray[np.int32] | None:
        """Each item's row, by position, −1 for one without, up to the last that has one; None where few have one."""
        items = int(self.position.max(initial=-1)) + 1
        if items > SPARSE * len(self.position):
            return None
        result = np.full(items, -1, np.int32)
        result[self.position] = np.arange(len(self.position))
        return result

    @cached_property
    def _sorted(self) -> NDArray[np.int64]:
        """The rows in the order of their items."""
        return np.argsort(self.position)

    def find(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of w items; −1 for those without."""
        result = np.full(len(positions), -1, np.int64)
        if self._row_of is None:
            order = self._sorted
            places = np.searchsorted(self.position, positions, sorter=order)
            rows = order[np.minimum(places, len(order) - 1)]
            found = self.position[rows] == positions
            result[found] = rows[found]
        else:
            known = positions < len(self._row_of)
            result[known] = self._row_of[positions[known]]
        return result

    def partitioned(self, like: Matrix | None = None) -> Matrix:
        """The same embeddings sorted by partition, where that pays.

        Args:
            like: of an earlier snapshot: what has not changed since keeps its partition.
        """
        made = partition(self.rows, None if like is None or like.partitions is None else (like.rows, like.partitions))
        if made is None:
            return self
        order, partitions = made
        return replace(self, position=self.position[order], rows=self.rows[order], partitions=partitions)
