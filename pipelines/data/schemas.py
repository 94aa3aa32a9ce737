"""What each column of a manifest is for, over all its files."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from model.errors import TaxonomyError
from model.taxonomy import check_name
from pipelines.errors import ManifestError

from .columns import LABELS, PICTURE, is_binary, is_labels, is_list, is_text, metadata_type, storage
from .files import Source

RESERVED = ("item_id", "image", "image_uri", "split")


@dataclass(frozen=True)
class Roles:
    """The unified schema of all files and what its columns are for.

    Args:
        schema: of the batches: the reserved columns, attributes and metadata in order of appearance.
        attributes: columns of labels.
        metadata: columns of scalars.
        ignored: columns of a type that is neither, or without a value (null), as name -> type.
    """

    schema: pa.Schema
    attributes: tuple[str, ...]
    metadata: tuple[str, ...]
    ignored: Mapping[str, str]


def normal_name(name: str) -> str:
    """A column's name in NFC."""
    return unicodedata.normalize("NFC", name)


def assign_roles(
    files: Sequence[tuple[Source, pa.Schema]], attributes: Sequence[str] | None, require_image: bool
) -> Roles:
    """Unify the files' schemas.

    Args:
        files: each file with the schema that it has itself.
        attributes: which columns are attributes; None = all that hold lists of text in some file.
        require_image: whether each file must have a picture or a picture's location.

    Raises:
        ManifestError: a required column is missing, a column has an impossible or contradicting type, or `attributes`
            names what is not there.
    """
    columns: dict[str, list[tuple[Source, pa.DataType]]] = {}
    for source, schema in files:
        _check_file(source, schema, require_image)
        for field in schema:
            columns.setdefault(normal_name(field.name), []).append((source, field.type))
    chosen = _attributes(columns, attributes)
    fields = [pa.field("item_id", pa.string(), nullable=False)]
    for name, kind in (("image", PICTURE), ("image_uri", pa.string()), ("split", pa.string())):
        if name in columns:
            fields.append(pa.field(name, kind))
    metadata, ignored = [], {}
    for name, seen in columns.items():
        if name in chosen:
            fields.append(pa.field(name, LABELS))
        elif name not in RESERVED:
            kind = _metadata(name, seen)
            if kind is None:
                ignored[name] = str(seen[0][1])
            else:
                fields.append(pa.field(name, kind))
                metadata.append(name)
    return Roles(pa.schema(fields), chosen, tuple(metadata), ignored)


def _check_file(source: Source, schema: pa.Schema, require_image: bool) -> None:
    names = [normal_name(name) for name in schema.names]
    listed = ", ".join(map(repr, schema.names)) or "none"
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManifestError(f"{source.path}: has a column twice: {', '.join(map(repr, twice))}")
    if "item_id" not in names:
        raise ManifestError(f"{source.path}: has no column 'item_id' (its columns: {listed})")
    if require_image and "image" not in names and "image_uri" not in names:
        raise ManifestError(f"{source.path}: has neither a column 'image' nor 'image_uri' (its columns: {listed})")
    for name, field in zip(names, schema, strict=True):
        kind = storage(field.type)
        text = is_text(kind) or pa.types.is_null(kind)
        if name == "item_id" and not (text or pa.types.is_integer(kind)):
            raise ManifestError(f"{source.path}, column 'item_id': is {kind}; an id is text or an integer")
        if name == "image" and not (is_binary(kind) or pa.types.is_null(kind)):
            raise ManifestError(
                f"{source.path}, column 'image': is {kind}, not the bytes of a picture"
                + ("; call the column of locations 'image_uri'" if text else "")
            )
        if name in ("image_uri", "split") and not text:
            raise ManifestError(f"{source.path}, column {name!r}: is {kind}; it must be text")


def _attributes(
    columns: Mapping[str, Sequence[tuple[Source, pa.DataType]]], given: Sequence[str] | None
) -> tuple[str, ...]:
    if given is None:
        chosen = [n for n, seen in columns.items() if n not in RESERVED and any(is_labels(kind) for _, kind in seen)]
    else:
        chosen = [normal_name(name) for name in given]
    for name in chosen:
        if name in RESERVED:
            raise ManifestError(f"{name!r} cannot be an attribute; it has a meaning of its own")
        if chosen.count(name) > 1:
            raise ManifestError(f"attribute {name!r} is named twice")
        if name not in columns:
            others = ", ".join(repr(n) for n in columns if n not in RESERVED) or "none"
            raise ManifestError(f"no file has a column {name!r} for the attribute of that name (columns: {others})")
        try:
            check_name(name)
        except TaxonomyError as error:
            raise ManifestError(f"column {name!r} cannot be an attribute: {error}") from error
        for source, kind in columns[name]:
            inner = storage(kind)
            entry = storage(inner.value_type) if is_list(inner) else inner
            if not (is_text(entry) or pa.types.is_integer(entry) or pa.types.is_null(entry)):
                raise ManifestError(f"{source.path}, column {name!r}: is {kind}; an attribute is a list of text")
    return tuple(chosen)


def _metadata(name: str, seen: Sequence[tuple[Source, pa.DataType]]) -> pa.DataType | None:
    """The type that holds what every file has in this column; None for what is no scalar.

    None also where no file has a value: whichever type the column got, later manifests would be held to it.
    """
    typed = [(source, storage(kind)) for source, kind in seen if not pa.types.is_null(storage(kind))]
    kinds = {metadata_type(kind) for _, kind in typed}
    if not kinds:
        return None
    if len(kinds) == 1:
        return kinds.pop()
    if kinds == {pa.int64(), pa.float64()}:
        return pa.float64()
    if all(source.kind == "csv" or is_text(kind) for source, kind in typed):
        return pa.string()
    told = "; ".join(f"{kind} in {source.path}" for source, kind in typed[:3])
    raise ManifestError(f"column {name!r} has contradicting types ({told}); give it one type")
