"""The fields of the rows of a batch of messages: each row by itself is brought to what a manifest of them can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from model.taxonomy import check_name
from pipelines.data.columns import LABELS, metadata_type
from pipelines.data.rows import LINE_LIMIT
from pipelines.data.schemas import normal_name
from pipelines.errors import ManifestError
from pipelines.index.naming import ITEMS
from pipelines.index.schema import NO_FIELD
from pipelines.index.store import Index

_NUMBERS = {pa.int64(), pa.float64()}


class Fields:
    """What the fields of a batch hold. One that neither is labels nor in the index holds what it does first.

    Args:
        known: metadata columns of the index: name -> its type in each generation.
        labels: fields that are labels.
        always: those of them that each row gets, null if need be, since whoever reads the manifest looks for them.
    """

    def __init__(
        self, known: Mapping[str, Sequence[pa.DataType]], labels: Sequence[str] = (), always: Sequence[str] = ()
    ) -> None:
        self._known, self._labels = known, frozenset(map(normal_name, labels))
        self._empty = {"image_uri": None, **dict.fromkeys(map(normal_name, always))}
        self._first: dict[str, pa.DataType] = {}

    @classmethod
    def of(cls, index: Index, attributes: Sequence[str] | None) -> Fields:
        """The fields of a batch that goes into this index.

        Args:
            index: as it is now.
            attributes: `IngestSettings.attributes`; None = those of the index's encoders, and every list of text.
        """
        known: dict[str, list[pa.DataType]] = {}
        names: dict[str, None] = {}
        for generation in index.generations():
            names |= dict.fromkeys(generation.taxonomy.names)
            for field in index.dataset(ITEMS, generation.name).schema.field("metadata").type:
                if field != NO_FIELD:
                    known.setdefault(field.name, []).append(field.type)
        return cls(known, list(names)) if attributes is None else cls(known, attributes, attributes)

    def line(self, item_id: str, row: Mapping[str, Any]) -> str:
        """A row as a line of a manifest.

        Args:
            item_id: checked.
            row: the other fields; a null is as if the field were not there.

        Raises:
            ManifestError: naming the field whose name or value no manifest could have, or not beside the rows before.
        """
        fitted: dict[str, Any] = {}
        first: dict[str, pa.DataType] = {}  # of this row; a refused one decides nothing
        for given, value in row.items():
            name = normal_name(given)
            if value is None or name == "item_id":
                continue
            if name in fitted:
                raise ManifestError(f"field {name!r}: is there twice")
            try:
                fitted[name] = self._fit(name, value, first)
            except (pa.ArrowException, ValueError, OverflowError) as error:
                raise ManifestError(f"field {name!r}: {error}") from error
        text = json.dumps({"item_id": item_id, **self._empty, **fitted}, ensure_ascii=False)
        if len(text) + 1 >= LINE_LIMIT:
            raise ManifestError(f"value: longer than {LINE_LIMIT:,} characters")
        self._first |= first
        return text

    def refused(self, item_id: str) -> str:
        """The line of a message that is refused: a row without a picture, which becomes a dead letter."""
        return json.dumps({"item_id": item_id, **self._empty}, ensure_ascii=False)

    def _fit(self, name: str, value: Any, first: dict[str, pa.DataType]) -> Any:
        if name == "image":
            raise ManifestError("a picture is not sent; 'image_uri' names it")
        if name in ("image_uri", "split"):
            return _text(value)
        if name in self._labels:
            return _classes(value)
        kinds = self._known.get(name)
        if kinds is None:
            check_name(name)
            kind = _kind(value)
            before = self._first.get(name, kind)
            # Whole numbers among fractions are fractions, as in any manifest.
            first[name] = pa.float64() if {before, kind} == _NUMBERS else before
            kinds = [first[name]]
        for kind in kinds:
            value = _classes(value) if kind == LABELS else _scalar(value, kind)
        return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ManifestError(f"is {type(value).__name__}; it must be text")
    value.encode()  # raises for halves of characters
    return value


def _classes(value: Any) -> list[str | None]:
    entries = value if isinstance(value, list) else [value]
    if not all(entry is None or isinstance(entry, str) for entry in entries):
        raise ManifestError("is no list of text")
    return [None if entry is None else _text(entry) for entry in entries]


def _kind(value: Any) -> pa.DataType:
    """The type of a column whose first value this is."""
    kind = LABELS if isinstance(value, list) else metadata_type(_array(value).type)
    assert kind is not None, value
    return kind


def _array(value: Any) -> pa.Array:
    if isinstance(value, dict | list):
        raise ManifestError(f"is {type(value).__name__}; a column of metadata has text, numbers, or true and false")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)
    return pa.array([value])


def _scalar(value: Any, kind: pa.DataType) -> bool | int | float | str:
    """A value as a column of this type takes it, in JSON: what is no number and no truth value as text."""
    array = _array(value)
    if pa.types.is_floating(kind) and pa.types.is_integer(array.type):
        array = pa.array([float(value)])  # Arrow takes no large integers for fractions
    try:
        array = array.cast(kind)
        plain = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)
        fitted: bool | int | float | str = (array if plain else array.cast(pa.string()))[0].as_py()
        if not plain:
            pa.array([fitted]).cast(kind)[
                0
            ].as_py()  # as the manifest is read; Arrow writes dates that it does not read
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise ManifestError(f"{value!r:.40} does not fit a column of {kind}") from error
    return fitted
