"""Columns of a manifest in one form, whatever pandas, polars, Spark or a hand wrote.

============  ==============================================================================
string        of string, large_string, string_view, dictionary of those, and null
int64         of every integer; float64 of every float and decimal; bool; date32
timestamp     of every timestamp: microseconds, with its time zone
list<string>  of every list of text (large, fixed-size, view, of dictionaries)
large_binary  of every binary (pictures only)
============  ==============================================================================

Ids and class names are brought to Unicode's NFC, so that one name is one name; a null or empty entry of a
list of labels is no label.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

LABELS = pa.list_(pa.string())
PICTURE = pa.large_binary()


def storage(kind: pa.DataType) -> pa.DataType:
    """The type beneath an extension type or a dictionary."""
    if isinstance(kind, pa.BaseExtensionType):
        return storage(kind.storage_type)
    return storage(kind.value_type) if pa.types.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Whether a type holds text."""
    kind = storage(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_binary(kind: pa.DataType) -> bool:
    """Whether a type holds bytes."""
    kind = storage(kind)
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    ) and not pa.types.is_decimal(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is a list of any layout."""
    kind = storage(kind)
    return (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def is_labels(kind: pa.DataType) -> bool:
    """Whether a type is a list of text: an attribute, unless it is said otherwise."""
    kind = storage(kind)
    return is_list(kind) and is_text(kind.value_type)


def metadata_type(kind: pa.DataType) -> pa.DataType | None:
    """The unified type of a metadata column; None for what no filter could use (lists, structs, bytes)."""
    kind = storage(kind)
    if is_text(kind) or pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_date(kind):
        return pa.date32()
    return pa.bool_() if pa.types.is_boolean(kind) else None


def plain(array: pa.Array) -> pa.Array:
    """An array without extension type and dictionary."""
    if isinstance(array, pa.ExtensionArray):
        return plain(array.storage)
    return plain(array.dictionary_decode()) if pa.types.is_dictionary(array.type) else array


def to_text(array: pa.Array) -> pa.Array:
    """Text or integers -> string, in NFC."""
    return pc.utf8_normalize(plain(array).cast(pa.string()), form="NFC")


def to_metadata(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """A metadata column's array -> `kind`, of `metadata_type`. Raises `pa.ArrowInvalid` where a value does not fit."""
    array = plain(array)
    if array.type == kind:
        return array
    if pa.types.is_timestamp(kind):
        return array.cast(kind, safe=False)  # nanoseconds are cut to microseconds
    if pa.types.is_float64(kind) and not pa.types.is_integer(array.type):
        return _as_written(array).cast(kind)
    return array.cast(kind)


def _as_written(array: pa.Array) -> pa.Array:
    """Numbers as the shortest text that is read as them: 19.99 of a decimal or a float32 is what 19.99 asks for.

    Arrow's own cast of a decimal is off by a bit in one amount of seven, and a float32's shows what was rounded.
    """
    if pa.types.is_float16(array.type):
        return pa.array([None if value is None else str(np.float16(value)) for value in array.to_pylist()], pa.string())
    return array.cast(pa.string())


def to_labels(array: pa.Array, separator: str | None = None) -> pa.Array:
    """Lists of text (or of integers), or plain text -> list<string>; null and empty are both the empty list.

    Args:
        array: any layout of list, or text.
        separator: splits plain text into several labels; None = a text is one label.
    """
    array = plain(array)
    if not is_list(array.type):
        if separator is None:
            return _lists(np.ones(len(array), np.int64), to_text(array))
        array = pc.split_pattern(to_text(array), separator)
        return _lists(_lengths(array), pc.utf8_trim_whitespace(pc.list_flatten(array)))
    return _lists(_lengths(array), to_text(pc.list_flatten(array)))


def _lengths(lists: pa.Array) -> NDArray[np.int64]:
    """How many values of the flattened array each row has; a null row has none, whatever lies beneath it."""
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)


def _lists(lengths: NDArray[np.int64], values: pa.Array) -> pa.Array:
    """list<string> with `lengths` values a row, less the null and empty ones."""
    keep = pc.fill_null(pc.not_equal(values, ""), False)
    kept = np.concatenate(([0], np.cumsum(keep.to_numpy(zero_copy_only=False))))
    ends = np.concatenate(([0], np.cumsum(lengths)))
    return pa.ListArray.from_arrays(pa.array(kept[ends], pa.int32()), values.filter(keep))
