"""The embeddings of one space as rows of a table: all of them, those of a few items, or those near a query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import StoreError
from pipelines.index.schema import LIVE, is_one_of

from .item_ids import ItemIds
from .reader import Reader, read_rows

_COLUMNS = ["item_id", "embedding"]
_AT_ONCE = 4096  # ids in one filter


@dataclass(frozen=True)
class TableRows:
    """At most one row of an item.

    Args:
        reader: of the snapshot.
        table: its name.
        ids: of the snapshot's items.
        class_name: only rows of this class; None = all.
    """

    reader: Reader
    table: str
    ids: ItemIds
    class_name: str | None = None

    def __str__(self) -> str:
        """For messages."""
        snapshot_id = self.reader.snapshot.snapshot_id
        return f"snapshot {snapshot_id} {self.table}" + ("" if self.class_name is None else f" {self.class_name}")

    def scan(self) -> Iterator[pa.RecordBatch]:
        """All rows, batch by batch: ``item_id`` and ``embedding``."""
        return self.reader.dataset(self.table).to_batches(columns=_COLUMNS, filter=self._of_class(LIVE))

    def locate(self, item_ids: pa.ChunkedArray) -> NDArray[np.int64]:
        """Positions of rows by their ids. Raises `StoreError` if one is unknown, or there twice."""
        return self.ids.locate(item_ids, self.table)

    def fetch(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], pa.Array]:
        """The rows of w items, by the table's index of ids: n places among the w, and n embeddings.

        Raises:
            StoreError: an item has two rows.
        """
        wanted = self.ids.at(positions)
        place = {item_id: n for n, item_id in enumerate(wanted)}
        # Without `LIVE`, which is true of them all: Lance would look up every row for it.
        where = [
            self._of_class(is_one_of("item_id", wanted[n : n + _AT_ONCE]))
            for n in range(0, max(1, len(wanted)), _AT_ONCE)
        ]
        rows = pa.concat_tables([read_rows(self.reader, self.table, _COLUMNS, one) for one in where])
        places = np.array([place[item_id] for item_id in rows.column("item_id").to_pylist()], np.int64)
        if len(np.unique(places)) != len(places):
            raise StoreError(f"{self} has two rows of one item; ingest it anew")
        return places, rows.column("embedding").combine_chunks()

    def nearest(self, query: NDArray[np.float32], count: int) -> NDArray[np.int64] | None:
        """Positions of the `count` items nearest a query, by the table's vector index; None if it has none.

        Raises:
            StoreError: an item is not in the snapshot.
        """
        where = None if self.class_name is None else pc.field("class") == self.class_name
        found = self.reader.nearest(self.table, query, count, where)
        if found is None:
            return None
        positions = [self.ids.find(item_id) for item_id in found]
        if None in positions:
            raise StoreError(f"{self} has rows of unknown items; ingest it anew")
        return np.array(positions, np.int64)

    def _of_class(self, where: pc.Expression) -> pc.Expression:
        return where if self.class_name is None else where & (pc.field("class") == self.class_name)
