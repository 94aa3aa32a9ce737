"""Reading one snapshot: pinned versions, which no later commit can change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .naming import GLOBAL, ITEMS, PROTOTYPES, attribute_table, class_table
from .schema import LIVE, NO_FIELD, is_one_of
from .snapshot import Snapshot
from .vector_index import VECTOR_INDEX, nearest

Open = Callable[[str, int], lance.LanceDataset]


class SnapshotReader:
    """An immutable view of a snapshot; rows come in no particular order.

    Threads may share one. Processes may not inherit one by fork (Lance is not fork-safe).

    Attributes:
        snapshot: what is read.
    """

    def __init__(self, snapshot: Snapshot, open_table: Open) -> None:
        self.snapshot = snapshot
        self._open = open_table
        self._datasets: dict[str, lance.LanceDataset] = {}
        self._indexed: dict[str, bool] = {}

    def dataset(self, table: str) -> lance.LanceDataset:
        """A table (`pipelines.index.naming`) at its pinned version, for index searches.

        It holds the sentinel: filter with `pipelines.index.schema.LIVE`. A vector search never finds it, since its
        embedding is null.
        """
        if table not in self._datasets:
            self._datasets[table] = self._open(table, self.snapshot.versions[table])
        return self._datasets[table]

    def nearest(
        self, table: str, query: NDArray[np.float32], count: int, where: pc.Expression | None
    ) -> list[str] | None:
        """Item ids of the rows nearest a query by a table's vector index, the best first; None if it has none."""
        dataset = self.dataset(table)
        if table not in self._indexed:
            self._indexed[table] = any(index.name == VECTOR_INDEX for index in dataset.describe_indices())
        if not self._indexed[table]:
            return None
        found: list[str] = nearest(dataset, query, count, where=where).column("item_id").to_pylist()
        return found

    def items(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The items (N rows); None = all columns but the thumbnail."""
        dataset = self.dataset(ITEMS)
        names = [n for n in dataset.schema.names if n != "thumbnail"] if columns is None else list(columns)
        return _plain_metadata(dataset.to_table(columns=names, filter=LIVE))

    def find_items(self, item_ids: Sequence[str], columns: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """Those of some items that the snapshot has, by id; None = all columns, the thumbnail too."""
        wanted = None if columns is None else ["item_id", *columns]
        rows = self.dataset(ITEMS).to_table(columns=wanted, filter=LIVE & is_one_of("item_id", item_ids))
        return {row["item_id"]: row for row in _plain_metadata(rows).to_pylist()}

    def attribute(self, name: str) -> pa.Table:
        """An attribute's embeddings: item_id, embedding f16[D], classes, probabilities; N rows."""
        return self.dataset(attribute_table(name)).to_table(filter=LIVE)

    def class_rows(self, attribute: str, classes: Sequence[str] | None = None) -> pa.Table:
        """Class embeddings: class, item_id, embedding f16[D'], probability, other_classes; None = all classes.

        Only where `snapshot.class_width` is not None.
        """
        assert self.snapshot.class_width is not None, "this encoder has no class level"
        wanted = LIVE if classes is None else LIVE & is_one_of("class", classes)
        return self.dataset(class_table(attribute)).to_table(filter=wanted)

    def global_rows(self) -> pa.Table | None:
        """Global embeddings: item_id, embedding f16[r]; None for an encoder without a global head."""
        return None if self.snapshot.global_width is None else self.dataset(GLOBAL).to_table(filter=LIVE)

    def prototypes(self) -> pa.Table:
        """Class means: attribute, class, attribute_embedding f32[D], class_embedding f32[D'] or null, count."""
        return self.dataset(PROTOTYPES).to_table()


def _plain_metadata(table: pa.Table) -> pa.Table:
    """Without the field that stands in for no metadata."""
    if "metadata" not in table.column_names:
        return table
    position = table.column_names.index("metadata")
    kind = table.schema.field(position).type
    if kind.get_field_index(NO_FIELD.name) < 0:
        return table
    fields = [field for field in kind if field.name != NO_FIELD.name]
    chunks = [
        pa.StructArray.from_arrays(
            [pc.struct_field(chunk, [kind.get_field_index(field.name)]) for field in fields],
            fields=fields,
            mask=chunk.is_null(),
        )
        if fields
        else pa.array([None if value is None else {} for value in chunk.to_pylist()], pa.struct([]))
        for chunk in table["metadata"].chunks
    ]
    column = pa.chunked_array(chunks, pa.struct(fields))
    return table.set_column(position, pa.field("metadata", pa.struct(fields)), column)
