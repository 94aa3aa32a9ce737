"""A manifest: the files that list the items of a catalogue, read as one stream of rows.

========================  =====================================================================================
``item_id``               text (or integers), not empty, unique
``image``, ``image_uri``  the encoded picture, or where it lies below a declared root; the first wins
``split``                 optional: ``train``, ``val``, ``test``, …
list of text              an attribute: the classes that the item carries; empty or null = unknown
anything else             metadata
========================  =====================================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from model.errors import ImageError
from model.taxonomy import Taxonomy
from pipelines.errors import ManifestError

from .columns import LABELS, PICTURE, is_text, plain, to_labels, to_metadata, to_text
from .files import Source, find_sources
from .ids import first_bad_id, id_fault
from .locations import read_image
from .readers import inspect, read
from .schemas import RESERVED, Roles, assign_roles, normal_name


@dataclass(frozen=True)
class Manifest:
    """Make one with `Manifest.open`. Plain data: it may be sent to other processes.

    Args:
        sources: the files, in the order in which they are read.
        schemas: of each file, as the file has it.
        counts: rows of each file.
        roles: the unified schema and what its columns are for.
        roots: folders below which pictures may lie.
    """

    sources: tuple[Source, ...]
    schemas: tuple[pa.Schema, ...]
    counts: tuple[int, ...]
    roles: Roles
    roots: tuple[str, ...]

    @classmethod
    def open(
        cls,
        paths: Sequence[str],
        *,
        roots: Sequence[str] = (),
        attributes: Sequence[str] | None = None,
        require_image: bool = True,
        texts: Collection[str] = (),
    ) -> Manifest:
        """Look at the files of a manifest. A CSV or JSONL is read through once, for its types.

        Args:
            paths: files (``.parquet``, ``.csv``, ``.jsonl``), patterns, folders; local or ``s3://``.
            roots: folders, local or ``s3://``, below which `image_uri` is looked for.
            attributes: which columns are attributes, in this order; None = all columns of lists of text. Plain text
                is one label; in a CSV it is split at ``|``.
            require_image: False for a list of items to delete.
            texts: metadata columns of a CSV or JSONL that are text, whatever they look like (version ``1.10``).

        Raises:
            ManifestError: naming the file, and the row and column where there is one.
        """
        if isinstance(paths, str):
            paths = [paths]
        sources = find_sources(paths)
        as_text = {*RESERVED, *map(normal_name, attributes or ()), *texts}
        inspected = [inspect(source, as_text) for source in sources]
        schemas, counts = zip(*inspected, strict=True)
        roles = assign_roles(list(zip(sources, schemas, strict=True)), attributes, require_image)
        if require_image and not roots and "image" not in roles.schema.names:
            raise ManifestError(
                f"{sources[0].path}: its pictures are files (column 'image_uri'); name the folder they lie in as a root"
            )
        # Absolute, because Ray's workers run in other folders.
        here = (root if "://" in root else os.path.abspath(root) for root in roots)
        return cls(sources, schemas, counts, roles, tuple(here))

    @classmethod
    def labelled(
        cls, paths: Sequence[str], taxonomy: Taxonomy, *, roots: Sequence[str] = (), texts: Collection[str] = ()
    ) -> Manifest:
        """`open`, with the taxonomy's attributes read as labels also where they are plain text (CSV).

        Raises:
            ManifestError: as `open`; and if none of the taxonomy's attributes is a column.
        """
        manifest = cls.open(paths, roots=roots, texts=texts)
        here = [name for name in taxonomy.names if name in manifest.schema.names]
        if not here:
            known = ", ".join(taxonomy.names)
            raise ManifestError(f"{manifest.files[0]}: none of the taxonomy's attributes ({known}) is a column")
        if any(name not in manifest.attributes for name in here):
            manifest = cls.open(paths, roots=roots, attributes=here, texts=texts)
        return manifest

    @property
    def files(self) -> tuple[str, ...]:
        """Absolute paths or ``s3://`` addresses, in the order in which they are read."""
        return tuple(source.path for source in self.sources)

    @property
    def schema(self) -> pa.Schema:
        """The unified schema of all batches."""
        return self.roles.schema

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns of labels, in order."""
        return self.roles.attributes

    @property
    def metadata(self) -> tuple[str, ...]:
        """The metadata columns, in order."""
        return self.roles.metadata

    @property
    def has_split(self) -> bool:
        """Whether some file has a column ``split``."""
        return "split" in self.schema.names

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the files' names, sizes and times, the roots and the attributes.

        It does not see a change of a picture that lies beside the manifest.
        """
        parts = [[s.path, s.size, s.modified] for s in self.sources], self.roots, self.attributes
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def count(self) -> int:
        """Number of rows."""
        return sum(self.counts)

    def batches(self, rows: int = 1024, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows in the manifest's order, `rows` at a time; a batch never spans two files.

        Args:
            rows: per batch; a file's last batch may be shorter.
            columns: of `schema`; None = all.

        Yields:
            batches of `schema` (or of the chosen columns of it, in the order given). Memory is that of one batch.

        Raises:
            ManifestError: a damaged file, a missing id, a value that does not fit its column.
        """
        assert rows > 0, rows
        names = self.schema.names if columns is None else list(columns)
        missing = [name for name in names if name not in self.schema.names]
        if missing:
            raise ManifestError(f"the manifest has no column {missing[0]!r}; it has {', '.join(self.schema.names)}")
        schema = pa.schema([self.schema.field(name) for name in names])
        for source, own in zip(self.sources, self.schemas, strict=True):
            raw = _raw_schema(source, own, schema)
            done = 0
            for batch in read(source, raw, rows):
                yield _unify(batch, schema, source, done)
                done += batch.num_rows


def row_image(row: Mapping[str, Any], roots: Sequence[str]) -> bytes:
    """The encoded picture of a row: inline, or read from its location. Raises `ImageError`."""
    data = row.get("image")
    if data:
        return bytes(data)
    uri = row.get("image_uri")
    if uri:
        return read_image(uri, roots)
    raise ImageError("EMPTY", f"item {row.get('item_id')!r} has neither a picture nor the location of one")


def row_labels(row: Mapping[str, Any], attributes: Sequence[str]) -> dict[str, list[str]]:
    """The classes that a row carries, by attribute; an attribute that is unknown has an empty list."""
    return {name: list(row.get(name) or ()) for name in attributes}


def _raw_schema(source: Source, own: pa.Schema, wanted: pa.Schema) -> pa.Schema:
    """The columns of a file that are wanted; a CSV's are read as text where text is wanted."""
    fields = []
    for field in own:
        name = normal_name(field.name)
        if name in wanted.names:
            as_text = source.kind == "csv" and pa.types.is_string(wanted.field(name).type)
            fields.append(pa.field(field.name, pa.string()) if as_text else field)
    return pa.schema(fields)


def _unify(batch: pa.RecordBatch, schema: pa.Schema, source: Source, start: int) -> pa.RecordBatch:
    """One batch of a file in the unified schema; `start` rows of the file came before it."""
    own = {normal_name(name): column for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    columns = []
    for field in schema:
        array = own.get(field.name)
        if array is None:
            array = pa.nulls(batch.num_rows)
        try:
            columns.append(_convert(array, field, source))
        except pa.ArrowException as error:
            rows = f"rows {start + 1} to {start + batch.num_rows}"
            raise ManifestError(f"{source.path}, {rows}, column {field.name!r}: {error}") from error
        if field.name == "item_id":
            _check_ids(columns[-1], source, start)
    return pa.record_batch(columns, schema=schema)


def _convert(array: pa.Array, field: pa.Field, source: Source) -> pa.Array:
    if field.type == LABELS:
        return to_labels(array, "|" if source.kind == "csv" else None)
    if field.name == "item_id":
        return to_text(array)
    if field.type == PICTURE:
        return plain(array).cast(PICTURE)
    converted = to_metadata(array, field.type)
    if is_text(field.type):
        converted.validate(full=True)  # text that is not UTF-8
    return converted


def _check_ids(ids: pa.Array, source: Source, start: int) -> None:
    row = first_bad_id(ids)
    if row is not None:
        why = id_fault(ids[row].as_py() or "")
        raise ManifestError(f"{source.path}, row {start + row + 1}, column 'item_id': {why}")
