"""Filters between messages and the typed tree."""

from __future__ import annotations

from pipelines.errors import RequestError
from pipelines.rpc.duet.v1 import filter_pb2
from pipelines.search.filters import (
    AllOf,
    AnyOf,
    Comparison,
    Filter,
    Membership,
    Negated,
    Operator,
    check_nodes,
    check_values,
)
from pipelines.search.limits import Limits

from .messages import read_value, write_value

_OPERATORS = {
    Operator.EQUAL: filter_pb2.COMPARISON_OPERATOR_EQUAL,
    Operator.NOT_EQUAL: filter_pb2.COMPARISON_OPERATOR_NOT_EQUAL,
    Operator.LESS: filter_pb2.COMPARISON_OPERATOR_LESS,
    Operator.LESS_OR_EQUAL: filter_pb2.COMPARISON_OPERATOR_LESS_OR_EQUAL,
    Operator.GREATER: filter_pb2.COMPARISON_OPERATOR_GREATER,
    Operator.GREATER_OR_EQUAL: filter_pb2.COMPARISON_OPERATOR_GREATER_OR_EQUAL,
}
_BY_NUMBER = {number: operator for operator, number in _OPERATORS.items()}


def write_filter(filter_: Filter) -> filter_pb2.Filter:
    """The tree as a message."""
    message = filter_pb2.Filter()
    match filter_:
        case Comparison(column, operator, value):
            message.comparison.column = column
            message.comparison.operator = _OPERATORS[operator]
            write_value(value, message.comparison.value)
        case Membership(column, values):
            message.membership.column = column
            for value in values:
                write_value(value, message.membership.values.add())
        case AllOf(filters):
            message.all_of.filters.extend(write_filter(part) for part in filters)
        case AnyOf(filters):
            message.any_of.filters.extend(write_filter(part) for part in filters)
        case Negated(inner):
            message.negated.CopyFrom(write_filter(inner))
    return message


def read_filter(message: filter_pb2.Filter, limits: Limits) -> Filter:
    """A message as the tree; its depth is bounded by protobuf's own limit of 100.

    Raises:
        RequestError: what no tree can hold, or more parts or values than the limits: nothing is built of the rest.
    """
    nodes = 0

    def read(message: filter_pb2.Filter, path: str) -> Filter:
        nonlocal nodes
        nodes += 1
        check_nodes(nodes, limits)
        match message.WhichOneof("kind"):
            case "comparison":
                comparison = message.comparison
                operator = _BY_NUMBER.get(comparison.operator)
                if operator is None:
                    raise RequestError("FILTER_INVALID", "no such operator", f"{path}.comparison.operator")
                value = read_value(comparison.value, f"{path}.comparison.value")
                return Comparison(comparison.column, operator, value)
            case "membership":
                path = f"{path}.membership.values"
                check_values(len(message.membership.values), limits, path)
                members = enumerate(message.membership.values)
                values = tuple(read_value(value, f"{path}[{n}]") for n, value in members)
                return Membership(message.membership.column, values)
            case "all_of":
                return AllOf(read_list(message.all_of, f"{path}.all_of"))
            case "any_of":
                return AnyOf(read_list(message.any_of, f"{path}.any_of"))
            case "negated":
                return Negated(read(message.negated, f"{path}.negated"))
        raise RequestError("FILTER_INVALID", "a filter without a kind", path)

    def read_list(message: filter_pb2.FilterList, path: str) -> tuple[Filter, ...]:
        return tuple(read(part, f"{path}.filters[{n}]") for n, part in enumerate(message.filters))

    return read(message, "filter")
