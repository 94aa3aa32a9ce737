"""What search needs of an index: `pipelines.index.store.SnapshotReader` has it, and so has the tests' reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.taxonomy import Taxonomy


class SnapshotView(Protocol):
    """The facts about a snapshot that search uses."""

    @property
    def snapshot_id(self) -> str: ...  # noqa: D102
    @property
    def model_digest(self) -> str: ...  # noqa: D102
    @property
    def taxonomy(self) -> Taxonomy: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def class_width(self) -> int | None: ...  # noqa: D102
    @property
    def global_width(self) -> int | None: ...  # noqa: D102


class Dataset(Protocol):
    """A table of one version; scans of it have one order. Lance's and pyarrow's datasets both fit."""

    @property
    def schema(self) -> pa.Schema:
        """Columns and types."""
        ...

    def to_batches(self, *, columns: list[str], filter: Any) -> Iterator[pa.RecordBatch]:
        """Rows that meet a ``pyarrow.compute`` expression, in the table's order."""
        ...


class Reader(Protocol):
    """An immutable view of one snapshot."""

    @property
    def snapshot(self) -> SnapshotView:
        """What it is a view of."""
        ...

    def items(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The ledger."""
        ...

    def find_items(self, item_ids: Sequence[str], columns: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """Some rows of the ledger, by id."""
        ...

    def prototypes(self) -> pa.Table:
        """The class means."""
        ...

    def dataset(self, table: str) -> Dataset:
        """A table (names: `pipelines.index.naming`), with its sentinel row: read with `pipelines.index.schema.LIVE`."""
        ...

    def nearest(self, table: str, query: NDArray[np.float32], count: int, where: Any) -> list[str] | None:
        """Item ids of the rows with the greatest products with a query, about, by a table's vector index.

        Args:
            table: its name.
            query: of the width of its embeddings.
            count: rows wanted.
            where: of those only that meet a ``pyarrow.compute`` expression; None = of all.

        Returns:
            The best first; None if the table has no vector index.
        """
        ...


def read_rows(reader: Reader, table: str, columns: list[str], where: Any) -> pa.Table:
    """Columns of the rows of a table that meet a ``pyarrow.compute`` expression."""
    dataset = reader.dataset(table)
    schema = pa.schema([dataset.schema.field(column) for column in columns])
    return pa.Table.from_batches(list(dataset.to_batches(columns=columns, filter=where)), schema)
