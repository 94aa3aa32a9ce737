"""An index: one folder (or S3 prefix) of LanceDB tables.

    generations.lance               which encoders embedded into it
    snapshots.lance                 what is published, in order; readers follow the last row before the sentinel
    lease.lance                     who may commit
    <generation>.<table>.lance      the tables of each generation (`pipelines.index.schema`)

Every table can be read with plain LanceDB (``lancedb.connect(uri).open_table(...)``); leave out the sentinel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pyarrow.compute as pc

from model.checkpoint import Checkpoint
from pipelines.errors import StoreError

from .datasets import create_dataset, dataset_exists, open_dataset, small_caches
from .generation import Generation, prototype_rows
from .naming import ITEMS, PROTOTYPES
from .reader import SnapshotReader
from .schema import GENERATIONS_SCHEMA
from .sentinel import FIRST_MARK, sentinel_row
from .snapshot import IS_SENTINEL, Snapshot, sentinel_snapshot


class Index:
    """Make one with `Index.open` or `Index.create`. Reading needs no lease; writing does (`Lease`, `Committer`).

    Attributes:
        uri: absolute folder, or ``s3://bucket/prefix``.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._session = small_caches()  # of all tables together
        self._generations: dict[str, Generation] = {}

    @classmethod
    def open(cls, uri: str | Path) -> Index:
        """Open an index. Raises `StoreError` if there is none."""
        index = cls(index_uri(uri))
        if not dataset_exists(index.table_uri("snapshots")):
            raise StoreError(f"there is no index at {index.uri}; `duet ingest` makes one")
        return index

    @classmethod
    def create(cls, uri: str | Path) -> Index:
        """Open an index, or make an empty one. Raises `StoreError` if it cannot be written there."""
        index = cls(index_uri(uri))
        create_dataset(index.table_uri("generations"), GENERATIONS_SCHEMA.empty_table())
        create_dataset(index.table_uri("snapshots"), sentinel_snapshot())
        return index

    def table_uri(self, table: str, generation: str | None = None) -> str:
        """Where a table lies."""
        return f"{self.uri}/{table}.lance" if generation is None else f"{self.uri}/{generation}.{table}.lance"

    def dataset(self, table: str, generation: str | None = None, version: int | None = None) -> lance.LanceDataset:
        """A table as a Lance dataset, at a version (None = its latest, which may be half of a commit)."""
        return open_dataset(self.table_uri(table, generation), version, self._session)

    def generations(self) -> tuple[Generation, ...]:
        """All generations, oldest first; not those that are being retired."""
        rows = self.dataset("generations").to_table().to_pylist()
        self._generations = {row["generation"]: Generation.from_row(row) for row in rows}
        return tuple(generation for generation in self._generations.values() if not generation.retired)

    def generation(self, name: str) -> Generation:
        """One generation. Raises `StoreError` if there is none of that name."""
        if name not in self._generations:
            self.generations()
        if name not in self._generations:
            known = ", ".join(self._generations) or "none"
            raise StoreError(f"the index {self.uri} has no generation {name!r}; it has: {known}")
        return self._generations[name]

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All snapshots, oldest first."""
        return tuple(self._snapshot(row) for row in self.dataset("snapshots").to_table(filter=~IS_SENTINEL).to_pylist())

    def latest(self, snapshots: lance.LanceDataset | None = None, generation: str | None = None) -> Snapshot | None:
        """The published snapshot; None while there is none.

        Args:
            snapshots: the table ``snapshots``, as it was opened; None = as it is now.
            generation: the last snapshot of this one, published or superseded by another generation's.
        """
        dataset = self.dataset("snapshots") if snapshots is None else snapshots
        if generation is not None:
            rows = dataset.to_table(filter=pc.field("generation") == generation).to_pylist()
        else:
            count = dataset.count_rows()
            last = dataset.take(list(range(max(0, count - 2), count))).to_pylist()  # the last one, and the sentinel
            rows = [row for row in last if row["snapshot_id"]]
        return self._snapshot(rows[-1]) if rows else None

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """One snapshot. Raises `StoreError` if there is none of that id."""
        for snapshot in self.snapshots():
            if snapshot.snapshot_id == snapshot_id:
                return snapshot
        raise StoreError(f"the index {self.uri} has no snapshot {snapshot_id!r}")

    def reader(self, snapshot: Snapshot) -> SnapshotReader:
        """An immutable view of a snapshot."""
        return SnapshotReader(snapshot, lambda table, version: self.dataset(table, snapshot.generation, version))

    def create_generation(
        self, checkpoint: Checkpoint, checkpoint_uri: str, metadata: tuple[pa.Field, ...] = ()
    ) -> Generation:
        """The generation of a checkpoint, made if it is not there; call it under the lease.

        Args:
            checkpoint: whose prototypes are written with it.
            checkpoint_uri: where it lies.
            metadata: columns of the manifest; those that ``items`` lacks are added to it, null for older items.
        """
        generation = Generation.of(checkpoint, checkpoint_uri)
        listed = {one.name for one in self.generations()}
        if generation.name in self._generations and generation.name not in listed:
            raise StoreError(
                f"generation {generation.name} of {self.uri} is half retired; end that first: "
                f"duet snapshots retire {generation.name}"
            )
        for table, schema in generation.schemas(metadata).items():
            rows = prototype_rows(checkpoint) if table == PROTOTYPES else sentinel_row(schema, FIRST_MARK)
            create_dataset(self.table_uri(table, generation.name), rows)
        self._add_metadata(generation, metadata)
        if generation.name not in listed:  # last: what is listed is whole
            lance.write_dataset(generation.to_row(), self.table_uri("generations"), mode="append")
            self._generations.clear()
        return self.generation(generation.name)

    def metadata_texts(self, generation: str) -> set[str]:
        """The metadata columns of a generation that hold text; none where it is not there yet."""
        uri = self.table_uri(ITEMS, generation)
        if not dataset_exists(uri):
            return set()
        fields = open_dataset(uri).schema.field("metadata").type
        return {field.name for field in fields if pa.types.is_string(field.type)}

    def _add_metadata(self, generation: Generation, metadata: tuple[pa.Field, ...]) -> None:
        items = self.dataset(ITEMS, generation.name)
        have = {field.name for field in items.schema.field("metadata").type}
        new = [pa.field(field.name, field.type) for field in metadata if field.name not in have]
        if new:
            items.add_columns(pa.schema([pa.field("metadata", pa.struct(new))]))

    def _snapshot(self, row: dict[str, Any]) -> Snapshot:
        return Snapshot.from_row(row, self.generation(row["generation"]))


def index_uri(uri: str | Path) -> str:
    """An index's address in one spelling: absolute folders, ``s3://`` without a slash at the end."""
    text = str(uri)
    if text.startswith("s3://"):
        return text.rstrip("/")
    if "://" in text:
        raise StoreError(f"an index lies in a local folder or below s3://; not {text}")
    path = Path(text).absolute()
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file; an index is a folder")
    return str(path)
