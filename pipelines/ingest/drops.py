"""Drops: manifests that appear in a watched folder, and which of them the index has already taken in.

The record lies in the index itself (``drops.lance``) and is written when a drop is committed, before it is published,
which can take minutes: if it were taken in again after that, it might undo what others have changed meanwhile. A watch
that was killed before it published does so first of all (`pipelines.ingest.watch`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import lance
import pyarrow as pa

from pipelines.data.files import Source, watched_sources
from pipelines.index.datasets import create_dataset
from pipelines.index.store import Index

DELETES = ".delete"  # before a file's ending: what is in it is deleted
_TABLE = "drops"
_FRAGMENTS = 32
_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("modified", pa.int64(), nullable=False),
        pa.field("taken_at", pa.timestamp("us", "UTC"), nullable=False),
    ]
)


class Drops:
    """The drops of a folder.

    Args:
        index: that takes them in.
        folder: local, or ``s3://bucket/prefix``.
    """

    def __init__(self, index: Index, folder: str) -> None:
        self.folder, self._uri = folder, index.table_uri(_TABLE)
        create_dataset(self._uri, _SCHEMA.empty_table())
        rows = lance.dataset(self._uri).to_table().to_pylist()
        self._taken = {row["path"]: (row["size"], row["modified"]) for row in rows}

    def waiting(self) -> list[Source]:
        """The manifests that are not taken in, by name. Names that begin with a dot or an underscore are nobody's yet.

        Raises:
            ManifestError: the folder is not there, or cannot be read.
        """
        return [source for source in watched_sources(self.folder) if source.path not in self._taken]

    def rewritten(self) -> list[Source]:
        """Manifests that were taken in and are another file now; they are not taken in again."""
        found = watched_sources(self.folder)
        return [s for s in found if s.path in self._taken and self._taken[s.path] != (s.size, s.modified)]

    def name_of(self, source: Source) -> str:
        """What is said of a manifest."""
        return source.path

    def fresh_at(self, rest: Sequence[Source], looked: datetime) -> datetime:
        """What was handed in before this time is taken in once only the `rest` of what `waiting` found waits still.

        Args:
            rest: of it.
            looked: when that was.
        """
        return min([looked, *(datetime.fromtimestamp(source.modified / 1e9, UTC) for source in rest)])

    def taken(self, source: Source) -> None:
        """Record that a manifest is taken in: committed, and not yet published."""
        row = {"path": source.path, "size": source.size, "modified": source.modified, "taken_at": datetime.now(UTC)}
        dataset = lance.write_dataset(pa.Table.from_pylist([row], schema=_SCHEMA), self._uri, mode="append")
        self._taken[source.path] = (source.size, source.modified)
        if len(dataset.get_fragments()) >= _FRAGMENTS:
            dataset.optimize.compact_files()
            dataset.cleanup_old_versions(retain_versions=1)
