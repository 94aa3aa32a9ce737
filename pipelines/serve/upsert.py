"""Items to be put in, as the rows of a small manifest, which the ingestion takes in like any other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa

from model.taxonomy import Taxonomy
from pipelines.errors import RequestError
from pipelines.search.filters import Scalar


@dataclass(frozen=True)
class UpsertedItem:
    """An item with its picture and what is known of it.

    Args:
        item_id: checked.
        image: an encoded picture; exactly one of ``image`` and ``image_uri``.
        image_uri: its location.
        metadata: values that are not missing, by column.
        labels: attribute -> classes; an attribute that nothing is known of is not there.
    """

    item_id: str
    image: bytes | None = None
    image_uri: str | None = None
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def manifest_of(items: Sequence[UpsertedItem], taxonomy: Taxonomy, columns: Sequence[pa.Field]) -> pa.Table:
    """The rows of a manifest.

    Args:
        items: one row each.
        taxonomy: whose attributes are the columns of labels.
        columns: of metadata, with the types that the index has.

    Raises:
        RequestError: a value that does not fit its column (``METADATA_TYPE``); one of a column, an attribute or a class
            that is not there any more, since another generation is served than when the item was read.
    """
    for n, item in enumerate(items):
        _check_known(item, taxonomy, {column.name for column in columns}, f"[{n}].item")
    arrays = {
        "item_id": pa.array([item.item_id for item in items], pa.string()),
        "image": pa.array([item.image for item in items], pa.binary()),
        "image_uri": pa.array([item.image_uri for item in items], pa.string()),
    }
    for name in taxonomy.names:
        labels = [None if name not in item.labels else list(item.labels[name]) for item in items]
        arrays[name] = pa.array(labels, pa.list_(pa.string()))
    for column in columns:
        values = [_fit(item.metadata.get(column.name), column, n) for n, item in enumerate(items)]
        arrays[column.name] = pa.array(values, column.type)
    return pa.table(arrays)


def _check_known(item: UpsertedItem, taxonomy: Taxonomy, columns: Set[str], path: str) -> None:
    for column in item.metadata.keys() - columns:
        raise RequestError("UNKNOWN_COLUMN", f"the catalogue has no column {column!r}", f"{path}.metadata[{column}]")
    for number, (name, labels) in enumerate(item.labels.items()):
        known = next((each.classes for each in taxonomy.attributes if each.name == name), None)
        if known is None:
            message = f"the encoder has no attribute {name!r}"
            raise RequestError("UNKNOWN_ATTRIBUTE", message, f"{path}.labels[{number}].attribute")
        for label in sorted(set(labels).difference(known)):
            message = f"{name!r} has no class {label!r}"
            raise RequestError("UNKNOWN_CLASS", message, f"{path}.labels[{number}].classes")


def _fit(value: Scalar | None, column: pa.Field, n: int) -> Any:
    """A value as its column takes it."""
    if value is None:
        return None
    kind, fitting = column.type, cast(Any, value)
    message = f"column {column.name!r} holds {kind}; {str(value)[:40]!r} does not fit"
    misfit = RequestError("METADATA_TYPE", message, f"[{n}].item.metadata[{column.name}]")
    if isinstance(value, bool) != pa.types.is_boolean(kind) or isinstance(value, datetime) != pa.types.is_temporal(
        kind
    ):
        raise misfit
    if pa.types.is_decimal(kind) and isinstance(value, int | float):
        fitting = Decimal(repr(value))
    elif pa.types.is_floating(kind) and type(value) is int:
        fitting = float(value)
    elif isinstance(value, datetime):
        fitting = value.astimezone(UTC)
        if pa.types.is_date(kind):
            fitting = fitting.date()
        elif pa.types.is_timestamp(kind) and kind.tz is None:
            fitting = fitting.replace(tzinfo=None)
    try:
        stored = pa.array([fitting], kind)[0].as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        raise misfit from None
    # Arrow would cut what does not fit: of 19.99 an integer column takes 19.
    rounded = isinstance(value, float) and pa.types.is_floating(kind) and math.isfinite(stored)
    if stored != (value if type(value) is int else fitting) and not rounded:
        raise misfit
    return fitting
