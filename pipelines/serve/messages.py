"""Messages that both services share: names, metadata values, class probabilities; each way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from google.protobuf import timestamp_pb2

from pipelines.errors import RequestError
from pipelines.rpc.duet.v1 import class_probability_pb2, value_pb2
from pipelines.search.filters import Scalar
from pipelines.search.result import ClassProbability

_SNAPSHOTS, _ITEMS = "snapshots/", "items/"


def snapshot_name(snapshot_id: str) -> str:
    """The resource name of a snapshot."""
    return _SNAPSHOTS + snapshot_id


def item_name(item_id: str) -> str:
    """The resource name of an item."""
    return _ITEMS + item_id


def read_snapshot_name(name: str, path: str) -> str:
    """The id in a snapshot's resource name; "" of "". Raises `RequestError`."""
    return _read_name(name, _SNAPSHOTS, path) if name else ""


def read_item_name(name: str, path: str) -> str:
    """The id in an item's resource name. Raises `RequestError`."""
    return _read_name(name, _ITEMS, path)


def _read_name(name: str, prefix: str, path: str) -> str:
    if not name.startswith(prefix) or name == prefix:
        raise RequestError("NAME_INVALID", f"{name[:80]!r} is not of the form {prefix}…", path)
    return name.removeprefix(prefix)


def write_metadata(metadata: Mapping[str, Any], target: Any) -> None:
    """Fill a ``map<string, Value>``."""
    for column, value in metadata.items():
        write_value(value, target[column])


def read_metadata(metadata: Mapping[str, value_pb2.Value]) -> dict[str, Scalar]:
    """A ``map<string, Value>`` as Python values."""
    return {column: read_value(value, "metadata") for column, value in sorted(metadata.items())}


def write_value(value: Any, target: value_pb2.Value) -> None:
    """A metadata value of any type as a Value; what has no kind of its own becomes text."""
    match value:
        case bool():
            target.bool_value = value
        case int() if -(2**63) <= value < 2**63:
            target.int_value = value
        case float() | Decimal():
            target.double_value = float(value)
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
            target.timestamp_value.FromDatetime(moment)
        case date():
            target.timestamp_value.FromDatetime(datetime.combine(value, time(), UTC))
        case _:
            target.string_value = str(value)


def read_value(value: value_pb2.Value, path: str) -> Scalar:
    """A Value as a Python value. Raises `RequestError` for one without a kind, or a time out of range."""
    kind = value.WhichOneof("kind")
    if kind is None:
        raise RequestError("VALUE_INVALID", "a value without a kind", path)
    result = getattr(value, kind)
    if not isinstance(result, timestamp_pb2.Timestamp):
        return result
    try:
        return result.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise RequestError("FILTER_TYPE", "a time outside the years 1 to 9999", path) from None


def write_classes(classes: Iterable[ClassProbability]) -> list[class_probability_pb2.ClassProbability]:
    """Predicted classes as messages."""
    return [class_probability_pb2.ClassProbability(name=one.name, probability=one.probability) for one in classes]


def read_classes(messages: Iterable[class_probability_pb2.ClassProbability]) -> tuple[ClassProbability, ...]:
    """Messages as predicted classes."""
    return tuple(ClassProbability(message.name, message.probability) for message in messages)
