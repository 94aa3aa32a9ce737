"""Every layout that a library writes means the same."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.columns import LABELS, is_binary, is_labels, metadata_type, to_labels, to_metadata, to_text

ROWS = [["a", "b"], None, [], ["c", None, ""], ["ü"]]
CLEAN = [["a", "b"], [], [], ["c"], ["ü"]]
LISTS = [
    pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.large_string()), pa.large_list(pa.large_string()),
    pa.list_(pa.string_view()), pa.list_view(pa.string()), pa.large_list_view(pa.large_string()),
]  # fmt: skip
labels = st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.text(max_size=3)))), max_size=12)


@pytest.mark.parametrize("kind", LISTS, ids=str)
def test_all_layouts_of_lists(kind: pa.DataType) -> None:
    array = pa.array(ROWS, kind)
    assert is_labels(kind)
    assert to_labels(array).type == LABELS
    assert to_labels(array).to_pylist() == CLEAN
    assert to_labels(array.slice(3, 2)).to_pylist() == CLEAN[3:]


def test_fixed_size_lists_and_lists_of_categories() -> None:
    fixed = pa.array([["a", "b"], None, ["c", None]], pa.list_(pa.string(), 2))
    assert to_labels(fixed).to_pylist() == [["a", "b"], [], ["c"]]
    assert to_labels(fixed.slice(1)).to_pylist() == [[], ["c"]]
    categories = pa.ListArray.from_arrays([0, 2, 2, 3], pa.array(["a", "b", "a"]).dictionary_encode())
    assert is_labels(categories.type)
    assert to_labels(categories).to_pylist() == [["a", "b"], [], ["a"]]


@given(labels)
def test_labels_are_what_is_left_without_null_and_empty(rows: list[list[str | None] | None]) -> None:
    normal = [[to_text(pa.array([v]))[0].as_py() for v in row or [] if v] for row in rows]
    assert to_labels(pa.array(rows, pa.list_(pa.string()))).to_pylist() == normal


@given(labels, st.integers(0, 5))
def test_a_slice_of_labels_is_the_labels_of_the_slice(rows: list[list[str | None] | None], start: int) -> None:
    array = pa.array(rows, pa.large_list(pa.string()))
    assert to_labels(array.slice(start)).to_pylist() == to_labels(array).to_pylist()[start:]


def test_plain_text_is_one_label_or_split() -> None:
    array = pa.array(["a|b", None, "", " c | |d ", "e"])
    assert to_labels(array).to_pylist() == [["a|b"], [], [], [" c | |d "], ["e"]]
    assert to_labels(array, "|").to_pylist() == [["a", "b"], [], [], ["c", "d"], ["e"]]
    assert to_labels(array.dictionary_encode(), "|").to_pylist()[0] == ["a", "b"]


def test_numbers_may_be_labels() -> None:
    assert to_labels(pa.array([[1, 2], None], pa.list_(pa.int8()))).to_pylist() == [["1", "2"], []]
    assert to_labels(pa.array([3, None])).to_pylist() == [["3"], []]
    assert to_labels(pa.nulls(2)).to_pylist() == [[], []]


def test_one_name_is_one_name() -> None:
    assert to_text(pa.array(["e\u0301"])).to_pylist() == ["é"]
    assert to_labels(pa.array([["e\u0301", "é"]])).to_pylist() == [["é", "é"]]


@pytest.mark.parametrize(
    ("kind", "unified"),
    [
        (pa.uint8(), pa.int64()), (pa.int64(), pa.int64()), (pa.float16(), pa.float64()),
        (pa.decimal128(9, 2), pa.float64()), (pa.large_string(), pa.string()), (pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string()), (pa.null(), pa.string()), (pa.bool_(), pa.bool_()),
        (pa.date64(), pa.date32()),
        (pa.timestamp("ns", "UTC"), pa.timestamp("us", "UTC")), (pa.list_(pa.float32()), None), (pa.binary(), None),
        (pa.struct([("a", pa.int8())]), None), (pa.duration("s"), None), (pa.json_(), pa.string()), (pa.uuid(), None),
    ],
    ids=str,
)  # fmt: skip
def test_metadata_types(kind: pa.DataType, unified: pa.DataType | None) -> None:
    assert metadata_type(kind) == unified
    if unified is not None and not pa.types.is_float16(kind):
        assert to_metadata(pa.array([None, None], kind), unified).type == unified


def test_a_number_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        to_metadata(pa.array([2**63], pa.uint64()), pa.int64())


def test_a_price_is_what_is_written() -> None:
    """Whatever it was kept as, a filter for 19.99 finds it."""
    cents = [Decimal(number) / 100 for number in range(100_000)]
    assert to_metadata(pa.array(cents, pa.decimal128(10, 2)), pa.float64()).to_pylist() == [float(one) for one in cents]
    written = [0.0, -0.1, 19.99, 1e-7, 3e38, None, math.inf]
    assert to_metadata(pa.array(written, pa.float32()), pa.float64()).to_pylist() == written
    written = [0.0, -0.1, 19.98, 65500.0, None, math.inf]
    halves = pa.array([None if one is None else np.float16(one) for one in written], pa.float16())
    assert to_metadata(halves, pa.float64()).to_pylist() == written
    assert math.isnan(to_metadata(pa.array([math.nan], pa.float32()), pa.float64())[0].as_py())


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20))
def test_any_decimal_is_the_nearest_float(value: Decimal) -> None:
    assert to_metadata(pa.array([value], pa.decimal128(30, 4)), pa.float64()).to_pylist() == [float(value)]


def test_nanoseconds_are_cut() -> None:
    array = pa.array([1_500], pa.timestamp("ns"))
    assert to_metadata(array, pa.timestamp("us")).cast(pa.int64()).to_pylist() == [1]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(4), pa.binary_view()], ids=str)
def test_binary_layouts(kind: pa.DataType) -> None:
    assert is_binary(kind) and not is_binary(pa.string()) and not is_binary(pa.decimal128(3))
