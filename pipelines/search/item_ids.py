"""The ids of a snapshot's items, and where each item stands among them."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import StoreError

from .ranking import id_ranks


class ItemIds:
    """N ids in one order; an item's *position* is its place in it, 0..N−1.

    Args:
        ids: N different texts.
    """

    def __init__(self, ids: pa.StringArray | pa.LargeStringArray) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """N, each id's place among the sorted ids: the tie-breaker."""
        return id_ranks(self._ids.to_pylist())

    def find(self, item_id: str) -> int | None:
        """Position of an item; None if there is none of that id."""
        hashes, positions = self._by_hash
        wanted = hash(item_id)
        for place in range(bisect_left(hashes, wanted), len(hashes)):
            if hashes[place] != wanted:
                return None
            if self._ids[positions[place]].as_py() == item_id:
                return positions[place]
        return None

    def at(self, positions: NDArray[np.int64]) -> list[str]:
        """The ids of items."""
        return self._ids.take(pa.array(positions)).to_pylist()

    def locate(self, item_ids: pa.ChunkedArray, table: str) -> NDArray[np.int64]:
        """Positions of a table's ids. Raises `StoreError` if one is unknown, or there twice."""
        found = pc.index_in(item_ids, value_set=self._ids)
        if found.null_count or pc.count_distinct(found).as_py() != len(found):
            raise StoreError(f"table {table} has rows of unknown items, or two of one item")
        return found.to_numpy().astype(np.int64)

    def warm(self) -> None:
        """Sort them ahead of the first search."""
        assert self.ranks is not None and self._by_hash is not None

    @cached_property
    def _by_hash(self) -> tuple[memoryview[int], memoryview[int]]:
        """The ids' hashes, ascending, and their positions."""
        hashes = np.fromiter(map(hash, self._ids.to_pylist()), np.int64, len(self))
        order = np.argsort(hashes)
        return hashes[order].data, order.data
