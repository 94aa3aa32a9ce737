"""The table of abuse: sizes, numbers, filters, enums. Texts, tokens, pictures, load and bytes have files of their own.

`test_server.py` has the plain faults, and that each has one code, one reason and its field.
"""

from __future__ import annotations

import socket
from typing import Any

import grpc
import pytest

from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2

from .abuse import FILTER, OK, Outcome, asked, call, invalid, loopback_only, outcome, outcome_of
from .shop import picture

pytestmark = pytest.mark.usefixtures("on_loopback", "then_served")

C, S = catalog_pb2, search_pb2
MILLION = 1_000_000
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def weighed(weight: float) -> Any:
    return asked(attributes=[{"attribute": "collar", "weight": weight}])


def compared(column: str, operator: int = 3, **value: Any) -> Any:
    return asked(filter={"comparison": {"column": column, "operator": operator, "value": value}})


def member_of(count: int) -> Any:
    return asked(filter={"membership": {"column": "price", "values": [{"int_value": 1}] * count}})


def put(metadata: Any) -> Any:
    return C.UpsertItemsRequest(item={"item_id": "a", "image": b"x", "metadata": metadata})


WEIGHT = invalid("WEIGHT_INVALID", "attributes[0].weight")
VALUE = "filter.comparison.value"


@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        # Sizes of pages.
        ("Search", asked(page_size=INT32_MIN), invalid("PAGE_SIZE_NEGATIVE", "page_size")),
        *(
            (method, message(page_size=size), invalid("PAGE_SIZE_NEGATIVE", "page_size"))
            for method, message in (("ListSnapshots", C.ListSnapshotsRequest), ("ListItems", C.ListItemsRequest))
            for size in (-1, INT32_MIN)
        ),
        ("ListSnapshots", C.ListSnapshotsRequest(page_size=INT32_MAX), OK),
        # More than the limits. Each is refused by its count.
        ("Search", asked(attributes=[{}] * MILLION), invalid("TOO_MANY", "attributes")),
        (
            "Search",
            asked(attributes=[{"attribute": "collar", "classes": ["polo"] * MILLION}]),
            invalid("TOO_MANY", "attributes[0].classes"),
        ),
        (
            "Search",
            asked(attributes=[{"attribute": "collar", "excluded_classes": ["polo"] * MILLION}]),
            invalid("TOO_MANY", "attributes[0].classes"),
        ),
        ("Search", asked(manipulations=[{}] * MILLION), invalid("TOO_MANY", "manipulations")),
        (
            "Search",
            asked(filter={"all_of": {"filters": [{"comparison": FILTER}] * (MILLION // 2)}}),
            invalid("FILTER_TOO_LARGE", "filter"),
        ),
        ("Search", member_of(MILLION), invalid("FILTER_INVALID", "filter.membership.values")),
        ("Search", member_of(0), invalid("FILTER_INVALID", "filter.membership.values")),
        ("Search", asked(filter={"any_of": {}}), invalid("FILTER_INVALID", "filter.any_of.filters")),
        ("DeleteItems", C.DeleteItemsRequest(item_ids=["a"] * MILLION), invalid("TOO_MANY", "item_ids")),
        (
            "UpsertItems",
            C.UpsertItemsRequest(item={"item_id": "a", "image": b"x", "labels": [{}] * MILLION}),
            invalid("TOO_MANY", "[0].item.labels"),
        ),
        (
            "UpsertItems",
            put({"brand": {"string_value": "x" * MILLION}}),
            invalid("TEXT_TOO_LONG", "[0].item.metadata[brand]"),
        ),
        # Weights and numbers.
        *(
            ("Search", weighed(weight), WEIGHT)
            for weight in (float("nan"), float("inf"), -float("inf"), 0.0, -0.0, -1.0, 5e-324, 1.7e308)
        ),
        ("Search", weighed(1e6), OK),
        ("Search", compared("weight", double_value=float("nan")), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("price", double_value=float("nan")), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("price", double_value=float("inf")), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("weight", double_value=-float("inf")), OK),
        ("Search", compared("weight", double_value=1.7e308), OK),
        ("Search", compared("price", double_value=9.3e18), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("price", int_value=-(2**63)), OK),
        ("Search", compared("price", bool_value=True), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("sale", int_value=1), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("added", timestamp_value={"seconds": 2**62}), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("added", timestamp_value={"seconds": -(2**63)}), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("added", timestamp_value={"nanos": INT32_MAX}), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("added", timestamp_value={"nanos": -1}), invalid("FILTER_TYPE", VALUE)),
        ("Search", compared("added", string_value="0001-01-01T00:00+23:59"), invalid("FILTER_TYPE", VALUE)),
        # Numbers of enums that this server does not know.
        *(
            ("Search", asked(attributes=[{"attribute": "collar", "match": n}]), invalid("ENUM_UNKNOWN", path))
            for n, path in ((INT32_MAX, "attributes[0].match"), (INT32_MIN, "attributes[0].match"))
        ),
        (
            "Search",
            asked(manipulations=[{"attribute": "colour", "to_class": "red", "operation": 99}]),
            invalid("ENUM_UNKNOWN", "manipulations[0].operation"),
        ),
        (
            "Search",
            compared("price", operator=-7, int_value=1),
            invalid("FILTER_INVALID", "filter.comparison.operator"),
        ),
    ],
)
def test_sizes_numbers_and_enums(channel: grpc.Channel, method: str, request_: Any, expected: Outcome) -> None:
    assert outcome(channel, method, request_) == expected


@pytest.mark.parametrize(("size", "count"), [(0, 10), (1, 1), (10**9, 19), (INT32_MAX, 19)])
def test_sizes_of_pages(channel: grpc.Channel, size: int, count: int) -> None:
    assert len(call(channel, "Search", asked(page_size=size)).hits) == count
    items = call(channel, "ListItems", C.ListItemsRequest(page_size=size))
    assert len(items.items) == min(size, 20) or size == 0
    assert items.total_items == 20 and bool(items.next_page_token) == (len(items.items) < 20)


def test_unknown_fields_are_passed_over(channel: grpc.Channel) -> None:
    plain = asked(page_size=3).SerializeToString()
    unknown = b"\xfa\x3f\x03abc" + b"\xf8\x3f\x07" + b"\xfd\x3f1234" + b"\xf9\x3f12345678" + b"\xfb\x3f\xfc\x3f"
    assert call(channel, "Search", plain + unknown).hits == call(channel, "Search", plain).hits


def test_of_a_oneof_the_last_member_counts(channel: grpc.Channel) -> None:
    item, image = asked().SerializeToString(), S.SearchRequest(image=picture(3)).SerializeToString()
    assert len(call(channel, "Search", image + item + b"\x30\x64").hits) == 19  # page_size 100; not the item itself
    assert len(call(channel, "Search", item + image + b"\x30\x64").hits) == 20
    assert outcome(channel, "Search", image + b"\x12\x00") == invalid("ITEM_ID_INVALID", "item_id")
    assert outcome(channel, "Search", item + b"\x0a\x00") == invalid("IMAGE_EMPTY", "image")


def test_a_method_that_is_not_there(channel: grpc.Channel) -> None:
    for path in ("/duet.v1.SearchService/Nothing", "/duet.v1.Nothing/Search", "/duet.v1.SearchService/../Search", "/"):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(path)(b"", timeout=10)
        assert outcome_of(caught.value) == Outcome(grpc.StatusCode.UNIMPLEMENTED)


def test_a_megabyte_of_metadata_is_refused_by_grpc(channel: grpc.Channel) -> None:
    assert outcome(channel, "Search", asked(), metadata=[("x", "a" * MILLION)]).code in (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,  # as older clients see a stream that is reset for it
    )


def test_the_guard_stops_what_leaves_loopback() -> None:
    for address in ("192.0.2.1", "2001:db8::1", "example.org"):
        with pytest.raises(AssertionError, match="left loopback"):
            leave_loopback(address)


def leave_loopback(address: str) -> None:
    with loopback_only(), pytest.raises(AssertionError, match="leaves loopback"):
        socket.create_connection((address, 80))
