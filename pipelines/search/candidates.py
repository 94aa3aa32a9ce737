"""The items of a snapshot as candidates: who is one, what each carries, and what is known of each.

Everything here is exact. Arrays are over the snapshot's N items in one order (`ItemIds`).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import StoreError
from pipelines.index.naming import attribute_table
from pipelines.index.schema import LIVE

from .carried import CarriedClasses
from .filters import Filter, filter_mask
from .grouping import group_codes
from .item_ids import ItemIds
from .matrices import MatrixCache
from .reader import Reader, read_rows
from .spaces import Spaces


class Candidates:
    """One snapshot's items; what is read of it stays, embeddings as far as the cache's budget goes. Thread-safe.

    Args:
        reader: of the snapshot.
        cache: for embeddings; may be shared with other snapshots.

    Attributes:
        taxonomy: of the snapshot.
        ids: of the N items.
        metadata: N rows.
        spaces: their embeddings.
    """

    def __init__(self, reader: Reader, cache: MatrixCache) -> None:
        self._reader = reader
        self.taxonomy = reader.snapshot.taxonomy
        table = reader.items(["item_id", "image_uri", "metadata"])
        ids = _joined(table.column("item_id"))
        self.ids = ItemIds(ids)
        self.spaces = Spaces(reader, cache, self.ids, self._carried)
        self.metadata = _columns(table.column("metadata"))
        facts = [ids, _joined(table.column("image_uri")), *self.metadata.columns]
        self._facts = pa.table(facts, ["item_id", "image_uri", *self.metadata.schema.names])
        self._groups: dict[str, NDArray[np.int64]] = {}
        self._read: dict[int, CarriedClasses] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.ids)

    def warm(self, like: Candidates | None = None) -> None:
        """Read ahead what every search needs, and the embeddings that another snapshot's searches have needed.

        Args:
            like: of a snapshot with the same taxonomy, and the same cache; None = no embeddings.
        """
        self.ids.warm()
        for n in range(len(self.taxonomy.attributes)):
            self._carried(n)
        if like is not None:
            self.spaces.warm(like.spaces)

    def facts(self, positions: NDArray[np.int64]) -> tuple[list[str], list[str], list[dict[str, Any]]]:
        """Of items: ids; where the pictures lie, "" if the catalogue itself holds one; metadata that is not missing."""
        ids, uris, *values = (column.to_pylist() for column in self._facts.take(pa.array(positions)).columns)
        metadata: list[dict[str, Any]] = [{} for _ in ids]
        for name, column in zip(self.metadata.schema.names, values, strict=True):
            for row, value in zip(metadata, column, strict=True):
                if value is not None:
                    row[name] = value
        return ids, [uri or "" for uri in uris], metadata

    def groups(self, column: str) -> NDArray[np.int64]:
        """Items with one value of a metadata column have one code -> N (`group_codes`)."""
        if column not in self._groups:
            self._groups[column] = group_codes(self.metadata.column(column))
        return self._groups[column]

    def allowed(self, filter_: Filter | None, excluded: Sequence[int], leave_out: int | None) -> NDArray[np.bool_]:
        """Which items are candidates: N.

        Args:
            filter_: as `check_filter` returned it.
            excluded: class indices that a candidate must not carry.
            leave_out: position of the query item.
        """
        mask = np.ones(len(self), np.bool_) if filter_ is None else filter_mask(filter_, self.metadata).copy()
        for class_index in excluded:
            mask &= ~self.carry(class_index)
        if leave_out is not None:
            mask[leave_out] = False
        return mask

    def carry(self, class_index: int) -> NDArray[np.bool_]:
        """Which items are predicted to carry a class: N bool, not to be written to."""
        n = self.taxonomy.attribute_of_class[class_index]
        return self._carried(n).carry(class_index - self.taxonomy.offsets[n])

    def probabilities(self, class_index: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of w items to carry a class: w; NaN for those that are not predicted to."""
        n = self.taxonomy.attribute_of_class[class_index]
        return self._carried(n).probabilities(class_index - self.taxonomy.offsets[n], positions)

    def carried_by(self, n: int, position: int) -> dict[int, float]:
        """Class indices of the n-th attribute that an item carries, with their probabilities."""
        offset = self.taxonomy.offsets[n]
        return {offset + code: probability for code, probability in self._carried(n).of(position).items()}

    def _carried(self, n: int) -> CarriedClasses:
        if n not in self._read:
            with self._lock:
                attribute = self.taxonomy.attributes[n]
                table = attribute_table(attribute.name)
                rows = read_rows(self._reader, table, ["item_id", "classes", "probabilities"], LIVE)
                position = self.ids.locate(rows.column("item_id"), table)
                if len(position) != len(self):
                    raise StoreError(f"table {table} has {len(position)} rows for {len(self)} items")
                self._read[n] = CarriedClasses.read(rows, position, attribute.classes)
        return self._read[n]


def _columns(structs: pa.ChunkedArray) -> pa.Table:
    """A column of structs as a table."""
    columns = {field.name: _joined(pc.struct_field(structs, [n])) for n, field in enumerate(structs.type)}
    for name, column in columns.items():
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python's times have microseconds
            columns[name] = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return pa.table(columns)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece; texts with offsets of 64 bits, as those of 32 end at 2 GiB."""
    return (column.cast(pa.large_string()) if pa.types.is_string(column.type) else column).combine_chunks()
