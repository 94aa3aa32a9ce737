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
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.errors import ImageError
from pipelines.data.images import content_hash
from pipelines.data.manifest import Manifest, row_image, row_labels
from pipelines.errors import ManifestError

from .chunk import Action, Chunk
from .ledger import Ledger, Refusal
from .read_ahead import read_ahead

_CHUNK_BYTES = 64_000_000  # of pictures; a chunk of large ones has fewer items
_BATCHES_BETWEEN_CHUNKS = 32  # a chunk comes at least so often, an empty one if need be, to show progress
_AHEAD_BYTES = 64_000_000  # of pictures that are read and not yet in a chunk, and `_READERS` more of any size
_READERS = 16  # pictures that are read at the same time: reading waits for disks and networks


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
        retry: whether what was refused is tried again, though it is the same.
    """

    manifest: Manifest
    attributes: tuple[str, ...]
    ledger: Ledger | None
    superseded: NDArray[np.int64]
    chunk: int
    sequence: int
    retry: bool = False

    def chunks(self) -> Iterator[Chunk]:
        """Chunks in the manifest's order; the same ones each time, as long as nobody changes the files.

        Raises:
            ManifestError: a file of the manifest is damaged, or a metadata value is of another type than the index has.
        """
        chunk, batches, start, began = Chunk(self.sequence + 1), 0, 0, time.perf_counter()
        with ThreadPoolExecutor(_READERS, "read") as readers:
            for batch in self.manifest.batches(min(self.chunk, 1024)):
                dropped = np.zeros(batch.num_rows, bool)
                first, last = np.searchsorted(self.superseded, [start, start + batch.num_rows])
                dropped[self.superseded[first:last] - start] = True
                start += batch.num_rows
                batches += 1
                chunk.seen += batch.num_rows
                chunk.superseded += int(dropped.sum())
                for row in self._pending(batch.filter(pa.array(~dropped)), readers):
                    if isinstance(row, Action):
                        chunk.passed[row] += 1
                        continue
                    chunk.rows.append(row)
                    chunk.image_bytes += _image_bytes(row)
                    if len(chunk.rows) == self.chunk or chunk.image_bytes >= _CHUNK_BYTES:
                        yield self._finish(chunk, began)
                        chunk, batches, began = Chunk(chunk.sequence + 1), 0, time.perf_counter()
                if batches >= _BATCHES_BETWEEN_CHUNKS:
                    yield self._finish(chunk, began)
                    chunk, batches, began = Chunk(chunk.sequence + 1), 0, time.perf_counter()
        yield self._finish(chunk, began)

    def _finish(self, chunk: Chunk, began: float) -> Chunk:
        relabelled = [row for row in chunk.rows if row["action"] == Action.RELABELLED]
        if relabelled:
            assert self.ledger is not None
            thumbnails = self.ledger.thumbnails([row["item_id"] for row in relabelled])
            for row in relabelled:
                row["thumbnail"] = thumbnails[row["item_id"]]
        chunk.seconds = time.perf_counter() - began
        return chunk

    def _pending(self, batch: pa.RecordBatch, readers: ThreadPoolExecutor) -> Iterator[dict[str, Any] | Action]:
        """What the rows of a batch mean, in order: rows for a chunk, or why there is nothing to be done."""
        images = batch.column("image") if "image" in batch.schema.names else None
        apart = {"image", *self.manifest.metadata}
        rows = batch.select([name for name in batch.schema.names if name not in apart]).to_pylist()
        ids = [row["item_id"] for row in rows]
        known = self.ledger.hashes(ids) if self.ledger else {}
        refused = self.ledger.refusals(ids) if self.ledger else {}
        metadata = self._metadata(batch)

        def examine(number: int) -> dict[str, Any] | Action:
            row = rows[number]
            if images is not None:  # here, so that only pictures in hand are copied out of the batch
                row = {**row, "image": images[number].as_py()}
            item_id = row["item_id"]
            return self._examine(row, metadata[number], known.get(item_id), refused.get(item_id))

        return read_ahead(examine, range(len(rows)), readers, size=_image_bytes, parallel=_READERS, held=_AHEAD_BYTES)

    def _examine(
        self,
        row: Mapping[str, Any],
        metadata: Mapping[str, Any],
        before: tuple[str, str] | None,
        refusal: Refusal | None,
    ) -> dict[str, Any] | Action:
        entry = self._entry(row, metadata)
        try:
            image = row_image(row, self.manifest.roots)
        except ImageError as error:
            if refusal == Refusal("", error.code) and not self.retry:
                return Action.UNCHANGED_REFUSED
            return entry | {"action": Action.REFUSED, "code": error.code, "message": str(error)}
        entry["image_hash"] = content_hash(image)
        entry["action"] = action = _compare((entry["image_hash"], entry["row_hash"]), before)
        if action in (Action.NEW, Action.CHANGED):
            if refusal is not None and refusal.image_hash == entry["image_hash"] and not self.retry:
                return Action.UNCHANGED_REFUSED  # the same bytes do not become a picture
            entry["image"] = image
        if action == Action.UNCHANGED and refusal is None:
            return action
        return entry

    def _entry(self, row: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
        # A column of that name that holds no labels is metadata.
        labelled = [name for name in self.attributes if name in self.manifest.attributes]
        labels: dict[str, list[str]] = {name: [] for name in self.attributes} | row_labels(row, labelled)
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
                if self.ledger.metadata.get_field_index(name) < 0:
                    continue  # new: a dry run has not added it
                wanted = self.ledger.metadata.field(name).type
                try:
                    columns[name] = column.cast(wanted)
                except pa.ArrowException as error:
                    raise ManifestError(
                        f"metadata column {name!r} is {wanted} in the index and {column.type} in the manifest: {error}"
                    ) from error
        if not columns:
            return [{}] * batch.num_rows
        values = {name: _values(name, column) for name, column in columns.items()}
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _values(name: str, column: pa.Array) -> list[Any]:
    try:
        return column.to_pylist()
    except (OverflowError, ValueError) as error:
        raise ManifestError(f"column {name!r} holds a date that no calendar has ({error})") from error


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


def _image_bytes(row: Mapping[str, Any] | Action) -> int:
    return 0 if isinstance(row, Action) else len(row["image"] or b"")
