"""Pending rows: the manifest less what the ledger has, in chunks.

One anti-join by (item_id, picture hash, row hash) is resume, skip-unchanged and retry at once. It is done batch by
batch, so memory does not grow with the manifest.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.errors import ImageError
from pipelines.data.images import content_hash
from pipelines.data.manifest import Manifest, row_image, row_labels
from pipelines.errors import ManifestError

from .ledger import Ledger

_CHUNK_BYTES = 64_000_000  # of pictures; a chunk of large ones has fewer items
_BATCHES_BETWEEN_CHUNKS = 32  # a chunk comes at least so often, an empty one if need be, to show progress
_READERS = 16  # pictures that are read at the same time: reading waits for disks and networks


class Action(StrEnum):
    """What an item of the manifest means for the index."""

    NEW = "new"
    CHANGED = "changed"
    RELABELLED = "relabelled"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass
class Chunk:
    """Pending rows that are embedded together, and what was passed over on the way to them.

    Args:
        sequence: grows from chunk to chunk.
        rows: dicts with item_id, action, image, image_hash, row_hash, image_uri, labels, metadata, thumbnail, code and
            message (of a refusal).
        seen: rows of the manifest since the chunk before.
        unchanged: those of them that the index has already.
        superseded: those of them that a later row overrules.
        seconds: time it took to find them.
    """

    sequence: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    seen: int = 0
    unchanged: int = 0
    superseded: int = 0
    seconds: float = 0.0
    image_bytes: int = 0


@dataclass(frozen=True)
class Pending:
    """The pending rows of a manifest. Plain data: it may be sent to other processes.

    Args:
        manifest: to index.
        attributes: of the taxonomy; labels of others are left out.
        ledger: None = nothing is indexed.
        superseded: ascending row numbers, of `superseded_rows`.
        chunk: rows per chunk.
        sequence: high-water mark; the first chunk has the next number.
    """

    manifest: Manifest
    attributes: tuple[str, ...]
    ledger: Ledger | None
    superseded: NDArray[np.int64]
    chunk: int
    sequence: int

    def chunks(self) -> Iterator[Chunk]:
        """Chunks in the manifest's order; the same ones each time, as long as nobody changes the files.

        Raises:
            ManifestError: a file of the manifest is damaged, or a metadata value is of another type than the index has.
        """
        chunk, batches, start, began = Chunk(self.sequence + 1), 0, 0, time.perf_counter()
        with ThreadPoolExecutor(_READERS, "read") as readers:
            for batch in self.manifest.batches(min(self.chunk, 1024)):
                dropped = np.isin(np.arange(start, start + batch.num_rows), self.superseded)
                start += batch.num_rows
                batches += 1
                chunk.seen += batch.num_rows
                chunk.superseded += int(dropped.sum())
                for row in self._pending(batch.filter(pa.array(~dropped)), readers):
                    if row["action"] == Action.UNCHANGED:
                        chunk.unchanged += 1
                        continue
                    chunk.rows.append(row)
                    chunk.image_bytes += len(row["image"] or b"")
                    if len(chunk.rows) == self.chunk or chunk.image_bytes >= _CHUNK_BYTES:
                        chunk.seconds = time.perf_counter() - began
                        yield chunk
                        chunk, batches, began = Chunk(chunk.sequence + 1), 0, time.perf_counter()
                if batches >= _BATCHES_BETWEEN_CHUNKS:
                    chunk.seconds = time.perf_counter() - began
                    yield chunk
                    chunk, batches, began = Chunk(chunk.sequence + 1), 0, time.perf_counter()
        chunk.seconds = time.perf_counter() - began
        yield chunk

    def _pending(self, batch: pa.RecordBatch, readers: ThreadPoolExecutor) -> Iterator[dict[str, Any]]:
        rows = batch.to_pylist()
        known = self.ledger.hashes([row["item_id"] for row in rows]) if self.ledger else {}
        metadata = self._metadata(batch)
        relabelled = []
        result = []
        for row, values, picture in zip(rows, metadata, readers.map(self._read, rows), strict=True):
            entry = self._entry(row, values)
            before = known.get(row["item_id"])
            if isinstance(picture, ImageError):
                entry |= {"action": Action.REFUSED, "code": picture.code, "message": str(picture)}
            else:
                image, entry["image_hash"] = picture
                entry["action"] = _compare((entry["image_hash"], entry["row_hash"]), before)
                if entry["action"] in (Action.NEW, Action.CHANGED):
                    entry["image"] = image
                elif entry["action"] == Action.RELABELLED:
                    relabelled.append(entry)
            result.append(entry)
        if relabelled:
            assert self.ledger is not None
            thumbnails = self.ledger.thumbnails([entry["item_id"] for entry in relabelled])
            for entry in relabelled:
                entry["thumbnail"] = thumbnails[entry["item_id"]]
        yield from result

    def _read(self, row: Mapping[str, Any]) -> tuple[bytes, str] | ImageError:
        try:
            image = row_image(row, self.manifest.roots)
        except ImageError as error:
            return error
        return image, content_hash(image)

    def _entry(self, row: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
        labels = row_labels(row, self.attributes)
        uri = row.get("image_uri")
        return {
            "item_id": row["item_id"],
            "image": None,
            "image_hash": "",
            "row_hash": row_hash(labels, metadata, uri),
            "image_uri": uri,
            "labels": labels,
            "metadata": metadata,
            "thumbnail": None,
            "code": None,
            "message": None,
        }

    def _metadata(self, batch: pa.RecordBatch) -> Sequence[dict[str, Any]]:
        """The metadata of each row, in the types that the index has them in."""
        columns = {name: batch.column(name) for name in self.manifest.metadata}
        if self.ledger is not None:
            for name, column in columns.items():
                wanted = self.ledger.metadata.field(name).type
                try:
                    columns[name] = column.cast(wanted)
                except pa.ArrowException as error:
                    raise ManifestError(
                        f"metadata column {name!r} is {wanted} in the index and {column.type} in the manifest: {error}"
                    ) from error
        if not columns:
            return [{}] * batch.num_rows
        return pa.RecordBatch.from_pydict(columns).to_pylist()


def row_hash(labels: Mapping[str, Sequence[str]], metadata: Mapping[str, Any], image_uri: str | None) -> str:
    """SHA-256 (hex) of all that an item's row says beside its picture.

    Neither the order of labels nor columns without a value count, so a new empty column changes no item.
    """
    content = {
        "labels": {name: sorted(set(classes)) for name, classes in labels.items() if classes},
        "metadata": {name: value for name, value in metadata.items() if value is not None},
        "image_uri": image_uri,
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _compare(hashes: tuple[str, str], before: tuple[str, str] | None) -> Action:
    if before is None:
        return Action.NEW
    if hashes[0] != before[0]:
        return Action.CHANGED
    return Action.UNCHANGED if hashes[1] == before[1] else Action.RELABELLED
