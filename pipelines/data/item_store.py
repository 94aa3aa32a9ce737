"""Random access to one split of a manifest, for training and evaluation.

The encoded pictures lie in an Arrow IPC file that is mapped, not read, in a cache folder named by what it was made
of; nothing decoded is kept. It is built once, whole or not at all, by however many processes at the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cluster.cores import cores
from model.errors import ImageError
from model.preparation import ImagePreparation
from model.taxonomy import Taxonomy
from pipelines.errors import ManifestError

from .columns import LABELS, PICTURE
from .images import decode, prepare
from .manifest import Manifest, row_image, row_labels
from .progress import progress

_FORMAT = 1  # of the cached files; part of their folder's name
_ROWS_READ = 64  # rows of the manifest in memory at once, with their pictures
_BATCH_BYTES = 16 << 20  # of pictures per record batch
_THREADS = max(2, min(8, cores()))
_GLANCE = ImagePreparation(16, 16)  # decodes a JPEG at an eighth of its size, yet reads it to its end


def default_cache() -> Path:
    """Where a node keeps its stores unless told otherwise: a folder of this user in its temporary folder."""
    return Path(tempfile.gettempdir()) / f"duet-cache-{os.getuid()}"


@dataclass(frozen=True)
class BadItem:
    """A row that is left out: its id, why (`ImageError.code`, or ``DUPLICATE_ID``), and in words."""

    item_id: str
    code: str
    message: str


class ItemStore:
    """The items of one split. Make it with `ItemStore.open`; it may be sent to other processes of this machine.

    Attributes:
        folder: where the cached files lie.
        taxonomy: what `carried` and `known` are laid out by.
        item_ids: N ids, in the manifest's order.
        carried: N×ΣM bool, the classes that an item is labelled with.
        known: N×A bool, the attributes that an item is labelled for.
        bad: rows that were left out.
        unknown: labels that the taxonomy does not have, as (attribute, class) -> number of items.
    """

    def __init__(self, folder: Path, taxonomy: Taxonomy) -> None:
        """Map a cache folder that `open` built."""
        self.folder, self.taxonomy = folder, taxonomy
        self._reader = pa.ipc.open_file(pa.memory_map(str(folder / "items.arrow")))
        batches = [self._reader.get_batch(n) for n in range(self._reader.num_record_batches)]
        self._pictures = [batch.column("image") for batch in batches]
        self._starts = np.cumsum([0, *(batch.num_rows for batch in batches)]).tolist()
        self.item_ids: list[str] = [i for batch in batches for i in batch.column("item_id").to_pylist()]
        self.bad = [BadItem(**entry) for entry in json.loads((folder / "bad.json").read_text(encoding="utf-8"))]
        self.carried, self.known, self.unknown = _labels(batches, taxonomy)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the items' ids and labels, in order."""
        content = hashlib.sha256(json.dumps(self.item_ids).encode())
        content.update(np.packbits(self.carried).tobytes())
        content.update(np.packbits(self.known).tobytes())
        return content.hexdigest()

    def problems(self) -> list[str]:
        """What was left out of the store, a line for each kind; empty if nothing was."""
        lines = []
        for code, count in Counter(item.code for item in self.bad).items():
            first = next(item for item in self.bad if item.code == code)
            lines.append(f"{count:,} items are left out: {code}, as {first.item_id!r} ({first.message})")
        if self.unknown:
            most = ", ".join(f"{name}={value}" for (name, value), _ in self.unknown.most_common(5))
            lines.append(f"{sum(self.unknown.values()):,} labels are of classes that the taxonomy lacks: {most}")
        return lines

    @classmethod
    def open(cls, manifest: Manifest, taxonomy: Taxonomy, *, split: str | None, cache: Path) -> ItemStore:
        """Map the store of a split, building it first where the cache does not have it.

        Rows whose picture cannot be read or decoded, and later rows of an id that came before, are left out (`bad`).

        Args:
            manifest: with pictures.
            taxonomy: classes that it lacks are counted in `unknown`, not refused.
            split: the rows whose `split` is this; None = all rows.
            cache: folder for the built files of all stores.

        Raises:
            ManifestError: the manifest has no splits but one is wanted, or it cannot be read.
        """
        if split is not None and not manifest.has_split:
            raise ManifestError(f"{manifest.files[0]}: has no column 'split', so it has no split {split!r}")
        key = json.dumps([_FORMAT, manifest.digest, split])
        folder = Path(cache) / f"items-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
        if not folder.is_dir():
            _build(manifest, split, folder)
        return cls(folder, taxonomy)

    def __len__(self) -> int:
        return len(self.item_ids)

    def __reduce__(self) -> tuple[type[ItemStore], tuple[Path, Taxonomy]]:
        return type(self), (self.folder, self.taxonomy)

    def image(self, index: int) -> bytes:
        """The encoded picture of the item at 0..N−1."""
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        batch = bisect_right(self._starts, index) - 1
        picture: bytes = self._pictures[batch][index - self._starts[batch]].as_py()
        return picture

    def prepared(self, indices: Sequence[int], preparation: ImagePreparation) -> NDArray[np.uint8]:
        """Decode and prepare pictures, several at a time -> uint8 n×H×W×3. Raises `ImageError`, naming the item."""
        out = np.empty((len(indices), preparation.height, preparation.width, 3), np.uint8)

        def work(place: int) -> None:
            try:
                out[place] = prepare(self.image(int(indices[place])), preparation)
            except ImageError as error:
                raise ImageError(error.code, f"item {self.item_ids[indices[place]]!r}: {error}") from error

        list(_decoders(os.getpid()).map(work, range(len(indices))))
        return out


@lru_cache(maxsize=1)
def _decoders(process: int) -> ThreadPoolExecutor:
    """The threads of this process; a forked one inherits the object, but none of the threads."""
    return ThreadPoolExecutor(_THREADS, "decode")


def _labels(
    batches: Sequence[pa.RecordBatch], taxonomy: Taxonomy
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Counter[tuple[str, str]]]:
    """N×ΣM classes carried, N×A attributes known, and the labels that the taxonomy does not have."""
    rows = sum(batch.num_rows for batch in batches)
    carried = np.zeros((rows, taxonomy.class_count), bool)
    known = np.zeros((rows, len(taxonomy.names)), bool)
    unknown: Counter[tuple[str, str]] = Counter()
    start = 0
    for batch in batches:
        for n, attribute in enumerate(taxonomy.attributes):
            if attribute.name not in batch.schema.names:
                continue
            places = {name: taxonomy.offsets[n] + m for m, name in enumerate(attribute.classes)}
            for row, classes in enumerate(batch.column(attribute.name).to_pylist(), start):
                for name in set(classes):
                    if name in places:
                        carried[row, places[name]] = known[row, n] = True
                    else:
                        unknown[attribute.name, name] += 1
        start += batch.num_rows
    return carried, known, unknown


def _build(manifest: Manifest, split: str | None, folder: Path) -> None:
    """Write a store beside its place, then move it there in one step; whoever comes second throws its own away."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        bad = _write(manifest, split, temporary / "items.arrow")
        entries = [vars(item) for item in bad]
        (temporary / "bad.json").write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(manifest: Manifest, split: str | None, path: Path) -> list[BadItem]:
    labels = [(name, LABELS) for name in manifest.attributes]
    schema = pa.schema([("item_id", pa.string()), ("image", PICTURE), *labels])
    bad: list[BadItem] = []
    held: list[dict[str, Any]] = []
    size = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for row in _good_rows(manifest, split, bad):
            held.append(row)
            size += len(row["image"])
            if size >= _BATCH_BYTES:
                writer.write_batch(pa.RecordBatch.from_pylist(held, schema))
                held, size = [], 0
        if held:
            writer.write_batch(pa.RecordBatch.from_pylist(held, schema))
    return bad


def _good_rows(manifest: Manifest, split: str | None, bad: list[BadItem]) -> Iterator[dict[str, Any]]:
    """The rows of a split whose picture decodes, in the manifest's order; the others go to `bad`."""
    columns = [n for n in ("item_id", "image", "image_uri", "split") if n in manifest.schema.names]
    seen: set[str] = set()

    def check(row: dict[str, Any]) -> bytes | ImageError:
        try:
            data = row_image(row, manifest.roots)
            decode(data, _GLANCE)
            return data
        except ImageError as error:
            return error

    with ThreadPoolExecutor(_THREADS, "check") as pool, progress("reading pictures", manifest.count()) as advance:
        for batch in manifest.batches(_ROWS_READ, [*columns, *manifest.attributes]):
            rows = [row for row in batch.to_pylist() if split is None or row.get("split") == split]
            for row, found in zip(rows, pool.map(check, rows), strict=True):
                item_id = row["item_id"]
                if item_id in seen:
                    bad.append(BadItem(item_id, "DUPLICATE_ID", "an earlier row has the same item_id"))
                elif isinstance(found, ImageError):
                    bad.append(BadItem(item_id, found.code, str(found)))
                else:
                    seen.add(item_id)
                    yield {"item_id": item_id, "image": found, **row_labels(row, manifest.attributes)}
            advance(batch.num_rows)
