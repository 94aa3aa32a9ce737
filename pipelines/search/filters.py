"""Typed conditions on metadata columns: a tree of values, evaluated by pyarrow. No text is ever turned into SQL.

Logic is SQL's, with three values: a missing value meets no comparison, nor the negation of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import RequestError

from .limits import Limits, read_name

Scalar: TypeAlias = bool | int | float | str | datetime


class Operator(StrEnum):
    """Comparison operators."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True)
class Comparison:
    """``column operator value``."""

    column: str
    operator: Operator
    value: Scalar


@dataclass(frozen=True)
class Membership:
    """``column in values``."""

    column: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class AllOf:
    """Every one of them, at least one."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class AnyOf:
    """One of them, at least one."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Negated:
    """Not that one."""

    filter: Filter


Filter: TypeAlias = Comparison | Membership | AllOf | AnyOf | Negated


class Kind(StrEnum):
    """What a metadata column holds, as far as a filter is concerned."""

    STRING = "text"
    BOOL = "truth values"
    INT = "whole numbers"
    DOUBLE = "numbers"
    TIMESTAMP = "times"


def kind_of(type_: pa.DataType) -> Kind | None:
    """The kind of a column; None if no filter can name it."""
    if pa.types.is_dictionary(type_):
        return kind_of(type_.value_type)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return Kind.STRING
    if pa.types.is_boolean(type_):
        return Kind.BOOL
    if pa.types.is_integer(type_):
        return None if type_ == pa.uint64() else Kind.INT  # the rest fits int64, in which values are sent
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return Kind.DOUBLE
    return Kind.TIMESTAMP if pa.types.is_timestamp(type_) or pa.types.is_date(type_) else None


def check_filter(filter_: Filter, columns: Mapping[str, pa.DataType], limits: Limits) -> Filter:
    """The filter with its columns' names in NFC and its values in their kinds.

    Raises:
        RequestError: with the path of the fault.
    """
    nodes = 0

    def check(node: Filter, path: str, depth: int) -> Filter:
        nonlocal nodes
        nodes += 1
        check_nodes(nodes, limits)
        if depth > limits.filter_depth:
            raise RequestError("FILTER_TOO_LARGE", f"a filter has at most {limits.filter_depth} levels", "filter")
        match node:
            case Comparison(text, operator, value):
                column, kind = read_column(text, columns, limits, f"{path}.comparison.column")
                return Comparison(column, operator, _coerce(value, kind, column, limits, f"{path}.comparison.value"))
            case Membership(text, values):
                column, kind = read_column(text, columns, limits, f"{path}.membership.column")
                check_values(len(values), limits, f"{path}.membership.values")
                paths = (f"{path}.membership.values[{n}]" for n in range(len(values)))
                coerced = (_coerce(v, kind, column, limits, p) for v, p in zip(values, paths, strict=True))
                return Membership(column, tuple(coerced))
            case AllOf(filters) | AnyOf(filters):
                name = "all_of" if isinstance(node, AllOf) else "any_of"
                if not filters:
                    raise RequestError("FILTER_INVALID", f"{name} of no filters", f"{path}.{name}.filters")
                inner = (check(part, f"{path}.{name}.filters[{n}]", depth + 1) for n, part in enumerate(filters))
                return replace(node, filters=tuple(inner))
            case Negated(inner_filter):
                return Negated(check(inner_filter, f"{path}.negated", depth + 1))

    return check(filter_, "filter", 1)


def check_nodes(count: int, limits: Limits) -> None:
    """Raises `RequestError` for more parts than a filter may have."""
    if count > limits.filter_nodes:
        raise RequestError("FILTER_TOO_LARGE", f"a filter has at most {limits.filter_nodes} parts", "filter")


def check_values(count: int, limits: Limits, path: str) -> None:
    """Raises `RequestError` for more or fewer values than one membership may have."""
    if not 1 <= count <= limits.filter_values:
        raise RequestError("FILTER_INVALID", f"`in` takes 1 to {limits.filter_values} values, not {count}", path)


def filter_mask(filter_: Filter, columns: pa.Table) -> NDArray[np.bool_]:
    """Which rows meet a filter that `check_filter` returned: N bool."""
    mask = _evaluate(filter_, columns)
    return pc.fill_null(mask, False).to_numpy()


def read_column(text: str, columns: Mapping[str, pa.DataType], limits: Limits, path: str) -> tuple[str, Kind]:
    """A column that can be compared, and its kind. Raises `RequestError` (``UNKNOWN_COLUMN``)."""
    column = read_name(text, limits, path)
    kinds = {name: kind for name, type_ in columns.items() if (kind := kind_of(type_)) is not None}
    if column not in kinds:
        known = ", ".join(kinds) or "none"
        raise RequestError("UNKNOWN_COLUMN", f"no metadata column {column!r} to compare by; known: {known}", path)
    return column, kinds[column]


def _coerce(value: Scalar, kind: Kind, column: str, limits: Limits, path: str) -> Scalar:
    match kind, value:
        case Kind.BOOL, bool():
            return value
        case Kind.STRING, str():
            if len(value) > limits.text_length:
                raise RequestError("TEXT_TOO_LONG", f"text has at most {limits.text_length} characters", path)
            return value
        case ((Kind.INT | Kind.DOUBLE), int() | float()) if not isinstance(value, bool):
            return _coerce_number(value, kind, path)
        case Kind.TIMESTAMP, datetime():
            try:
                return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
            except OverflowError:
                raise RequestError("FILTER_TYPE", f"{value} is outside the years 1 to 9999 in UTC", path) from None
        case Kind.TIMESTAMP, str():
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                raise RequestError("FILTER_TYPE", f"{value[:40]!r} is no ISO 8601 time", path) from None
            return _coerce(moment, kind, column, limits, path)
    shown = repr(value)[:40]
    raise RequestError("FILTER_TYPE", f"column {column!r} holds {kind}; {shown} is a {type(value).__name__}", path)


def _coerce_number(value: int | float, kind: Kind, path: str) -> Scalar:
    if isinstance(value, float) and math.isnan(value):
        raise RequestError("FILTER_TYPE", "NaN compares with nothing", path)
    if kind is Kind.INT:
        if isinstance(value, float) and not value.is_integer() and math.isfinite(value):
            return value
        if not -(2**63) <= value < 2**63:
            raise RequestError("FILTER_TYPE", f"{value} does not fit 64 bits", path)
        return int(value)
    try:
        return float(value)
    except OverflowError:
        raise RequestError("FILTER_TYPE", f"{str(value)[:40]}… does not fit a float", path) from None


_COMPARE: dict[Operator, Callable[..., Any]] = {
    Operator.EQUAL: pc.equal,
    Operator.NOT_EQUAL: pc.not_equal,
    Operator.LESS: pc.less,
    Operator.LESS_OR_EQUAL: pc.less_equal,
    Operator.GREATER: pc.greater,
    Operator.GREATER_OR_EQUAL: pc.greater_equal,
}


def _evaluate(node: Filter, columns: pa.Table) -> Any:
    match node:
        case Comparison(name, operator, value):
            left, right = _operands(columns[name], value)
            return _COMPARE[operator](left, right)
        case Membership(name, values):
            return _is_in(columns[name], values)
        case AllOf(filters):
            return reduce(pc.and_kleene, (_evaluate(part, columns) for part in filters))
        case AnyOf(filters):
            return reduce(pc.or_kleene, (_evaluate(part, columns) for part in filters))
        case Negated(inner):
            return pc.invert(_evaluate(inner, columns))


def _is_in(column: Any, values: tuple[Scalar, ...]) -> Any:
    """Whether each row is one of the values; null where it is null. The column is cast once per type of comparison."""
    column, groups = _plain(column), dict[pa.DataType, list[Any]]()
    for value in values:
        common, converted = _common(column.type, value)
        groups.setdefault(common, []).append(converted)
    masks = []
    for common, members in groups.items():
        cast = column.cast(common, safe=False)
        if pa.types.is_floating(common):  # `is_in` goes by bits: there −0.0 is not 0.0
            cast, members = pc.add(cast, 0.0), [member + 0.0 for member in members]
        masks.append(pc.is_in(cast, value_set=pa.array(members, common)))
    return pc.if_else(pc.is_null(column), pa.scalar(None, pa.bool_()), reduce(pc.or_, masks))


def _operands(column: Any, value: Scalar) -> tuple[Any, Any]:
    """A column and a value in one Arrow type that holds both without loss."""
    common, converted = _common(column.type, value)
    return _plain(column).cast(common, safe=False), pa.scalar(converted, common)


def _plain(column: Any) -> Any:
    """Without dictionary encoding."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _common(type_: pa.DataType, value: Scalar) -> tuple[pa.DataType, Scalar]:
    """The Arrow type in which a value compares with a column of a type, and the value as it is to be compared."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    kind = kind_of(type_)
    if kind is Kind.STRING:
        return pa.large_string() if pa.types.is_large_string(type_) else pa.string(), value
    if kind is Kind.BOOL:
        return pa.bool_(), value
    if kind is Kind.TIMESTAMP:
        return pa.timestamp("us", "UTC"), value
    if kind is Kind.INT and isinstance(value, int):
        return pa.int64(), value
    # A fraction compares with whole numbers rightly even where float64 rounds them (they are then far away).
    # A float column is compared at its own precision: 0.1 equals what float32 makes of 0.1.
    if pa.types.is_floating(type_):
        with np.errstate(over="ignore"):
            value = float(type_.to_pandas_dtype()(value))
    return pa.float64(), value
