from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings

from pipelines.errors import RequestError
from pipelines.search.filters import (
    AllOf,
    AnyOf,
    Comparison,
    Filter,
    Kind,
    Membership,
    Negated,
    Operator,
    check_filter,
    filter_mask,
    kind_of,
)
from pipelines.search.limits import Limits

from .oracle import truth
from .strategies import filters
from .world import METADATA, make_world

LIMITS = Limits()
TYPES = {field.name: field.type for field in METADATA}


def mask(filter_: Filter, table: pa.Table, limits: Limits = LIMITS) -> list[bool]:
    types = {field.name: field.type for field in table.schema}
    return filter_mask(check_filter(filter_, types, limits), table).tolist()


def one(values: list[Any], type_: pa.DataType, operator: str, value: Any) -> list[bool]:
    return mask(Comparison("x", Operator(operator), value), pa.table({"x": pa.array(values, type_)}))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(filters())
def test_masks_are_the_oracles(filter_: Filter) -> None:
    rows = make_world(0, 40).metadata
    table = pa.Table.from_pylist(rows, schema=pa.schema(METADATA))
    assert mask(filter_, table) == [truth(filter_, row) is True for row in rows]


def test_a_missing_value_meets_neither_a_comparison_nor_its_negation() -> None:
    table = pa.table({"x": pa.array([1, None])})
    assert mask(Comparison("x", Operator.EQUAL, 1), table) == [True, False]
    assert mask(Comparison("x", Operator.NOT_EQUAL, 2), table) == [True, False]
    assert mask(Negated(Comparison("x", Operator.EQUAL, 2)), table) == [True, False]
    assert mask(Negated(Membership("x", (2,))), table) == [True, False]


BIG = 2**53 + 1


@pytest.mark.parametrize(
    ("values", "type_", "operator", "value", "expected"),
    [
        ([BIG - 1, BIG, BIG + 1], pa.int64(), "=", BIG, [False, True, False]),
        ([BIG - 1, BIG, BIG + 1], pa.int64(), "<", BIG, [True, False, False]),
        ([2**63 - 1], pa.int64(), ">", 0.5, [True]),
        ([1, 2], pa.int8(), "<", 1000, [True, True]),
        ([1, 2], pa.int32(), ">", 1.5, [False, True]),
        ([1, 2], pa.uint8(), "=", -1, [False, False]),
        ([0.1, 0.2], pa.float32(), "=", 0.1, [True, False]),
        ([0.1, 0.2], pa.float16(), "<=", 0.1, [True, False]),
        ([0.1, 0.2], pa.float64(), "<=", 0.1, [True, False]),
        ([-0.0], pa.float64(), "=", 0, [True]),
        ([float("nan")], pa.float64(), "!=", 0, [True]),
        (["a", "b"], pa.large_string(), ">", "a", [False, True]),
        (["a", "b", "a"], pa.dictionary(pa.int8(), pa.string()), "=", "a", [True, False, True]),
        ([date(2024, 1, 1), date(2024, 1, 2)], pa.date32(), ">=", "2024-01-02", [False, True]),
        ([datetime(2024, 1, 1)], pa.timestamp("ns"), "=", datetime(2024, 1, 1, tzinfo=UTC), [True]),
        ([datetime(2024, 1, 1)], pa.timestamp("s"), "=", "2024-01-01T02:00:00+02:00", [True]),
        ([True, False], pa.bool_(), "=", True, [True, False]),
    ],
)
def test_values_compare_in_the_kind_of_the_column(
    values: list[Any], type_: pa.DataType, operator: str, value: Any, expected: list[bool]
) -> None:
    assert one(values, type_, operator, value) == expected


def test_minus_zero_is_a_member_as_zero() -> None:
    assert mask(Membership("x", (0.0, 2)), pa.table({"x": [-0.0, 1.0, 2.0]})) == [True, False, True]


@pytest.mark.parametrize(
    ("values", "type_", "members", "expected"),
    [
        ([1, 2, None, 3], pa.int32(), (3, 1, 1.5, 2**40), [True, False, None, True]),
        ([BIG, BIG - 1], pa.int64(), (BIG, 0.5), [True, False]),
        ([0.1, None, -0.0, float("nan")], pa.float32(), (0.1, 0), [True, None, True, False]),
        (["a", None, "b"], pa.dictionary(pa.int8(), pa.string()), ("b", "c"), [False, None, True]),
        ([True, None], pa.bool_(), (False,), [False, None]),
        ([date(2024, 1, 1), None], pa.date32(), ("2024-01-01", "2024-01-01T01:00:00"), [True, None]),
    ],
)
def test_members_compare_as_one_by_one(
    values: list[Any], type_: pa.DataType, members: tuple[Any, ...], expected: list[bool | None]
) -> None:
    table = pa.table({"x": pa.chunked_array([pa.array(values[:1], type_), pa.array(values[1:], type_)])})
    assert mask(Membership("x", members), table) == [one is True for one in expected]
    assert mask(Negated(Membership("x", members)), table) == [one is False for one in expected]
    either = AnyOf(tuple(Comparison("x", Operator.EQUAL, value) for value in members))
    assert mask(either, table) == mask(Membership("x", members), table)


def test_a_column_is_cast_once_for_all_members(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []
    is_in = pc.is_in
    monkeypatch.setattr(pc, "is_in", lambda column, **more: looked_up.append(column) or is_in(column, **more))
    table = pa.table({"x": pa.array(range(2000))})
    found = mask(Membership("x", (*range(900), 0.5)), table)
    assert sum(found) == 900 and len(looked_up) == 2  # whole numbers, fractions


def test_quotes_are_data() -> None:
    table = pa.table({"x": ["a", "x' OR '1'='1", '"']})
    assert mask(Comparison("x", Operator.EQUAL, "x' OR '1'='1"), table) == [False, True, False]
    assert mask(Membership("x", ('"',)), table) == [False, False, True]


def nested(depth: int) -> Filter:
    node: Filter = Comparison("price", Operator.LESS, 1)
    for _ in range(depth - 1):
        node = Negated(node)
    return node


@pytest.mark.parametrize(
    ("filter_", "reason", "field"),
    [
        (Comparison("prize", Operator.LESS, 1), "UNKNOWN_COLUMN", "filter.comparison.column"),
        (Comparison("price", Operator.LESS, "1"), "FILTER_TYPE", "filter.comparison.value"),
        (Comparison("price", Operator.LESS, True), "FILTER_TYPE", "filter.comparison.value"),
        (Comparison("price", Operator.LESS, float("nan")), "FILTER_TYPE", "filter.comparison.value"),
        (Comparison("price", Operator.LESS, 2**63), "FILTER_TYPE", "filter.comparison.value"),
        (Comparison("price", Operator.LESS, float("inf")), "FILTER_TYPE", "filter.comparison.value"),
        (Comparison("weight", Operator.LESS, 10**400), "FILTER_TYPE", "filter.comparison.value"),
        (Comparison("brand", Operator.LESS, 1), "FILTER_TYPE", "filter.comparison.value"),
        (Comparison("brand", Operator.LESS, "x" * 600), "TEXT_TOO_LONG", "filter.comparison.value"),
        (Comparison("sale", Operator.EQUAL, 1), "FILTER_TYPE", "filter.comparison.value"),
        (Comparison("added", Operator.LESS, "0001-01-01T00:00:00+14:00"), "FILTER_TYPE", "filter.comparison.value"),
        (Membership("added", ("9999-12-31T23:00:00-02:00",)), "FILTER_TYPE", "filter.membership.values[0]"),
        (Comparison("x" * 513, Operator.LESS, 1), "TEXT_TOO_LONG", "filter.comparison.column"),
        (Comparison("added", Operator.LESS, "soon"), "FILTER_TYPE", "filter.comparison.value"),
        (Membership("price", ()), "FILTER_INVALID", "filter.membership.values"),
        (Membership("price", (1, "2")), "FILTER_TYPE", "filter.membership.values[1]"),
        (AllOf(()), "FILTER_INVALID", "filter.all_of.filters"),
        (AnyOf((nested(1), Negated(AnyOf(())))), "FILTER_INVALID", "filter.any_of.filters[1].negated.any_of.filters"),
        (nested(17), "FILTER_TOO_LARGE", "filter"),
        (AllOf((nested(1),) * 64), "FILTER_TOO_LARGE", "filter"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(filter_: Filter, reason: str, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_filter(filter_, TYPES, Limits())
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_an_unknown_column_lists_those_that_can_be_named() -> None:
    types = {"price": pa.int64(), "tags": pa.list_(pa.string())}
    with pytest.raises(RequestError, match=r"known: price$"):
        check_filter(Comparison("tags", Operator.EQUAL, "a"), types, Limits())


def test_kinds_of_columns() -> None:
    assert kind_of(pa.decimal128(10, 2)) is Kind.DOUBLE
    assert kind_of(pa.uint64()) is None and kind_of(pa.binary()) is None and kind_of(pa.struct([])) is None
