"""The table of abuse, pictures, load and damaged bytes apart: ids and names, sizes, tokens, filters, weights, enums.

`test_server.py` has the plain faults, and that each has one code, one reason and its field.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from pipelines.data.images import prepare
from pipelines.index.store import Index
from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.query import encode_images
from pipelines.serve.client import Client
from tests.pipelines.search.indexed import publish_tables

from .abuse import OK, Outcome, call, invalid, loopback_only, not_found, outcome, outcome_of
from .shop import Shop, item_id, make_shop, picture, serving, tables_of
from .test_lifecycle import until, version_file

pytestmark = pytest.mark.usefixtures("on_loopback", "then_served")

C, S = catalog_pb2, search_pb2
MILLION = 1_000_000
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

# Ids that an item may well have. In the index they are in NFC.
NAMED = {
    "quotes": 'it\'s "quoted" `so`',
    "backslash": "a\\b\\",
    "sql": "'; DROP TABLE items; --",
    "path": "../../etc/passwd",
    "right to left": "a\u202eb\u200f",
    "zero width": "a\u200bb\u200d\ufeff",
    "composed": "é\u0323ö",
    "emoji": "👗👩🏽‍🎨",
    "format": "%s{0}%00${HOME}",
    "512 characters": "裙" * 512,
}
# Those that none can have, and why.
IMPOSSIBLE = {
    "NUL": ("a\0b", "ITEM_ID_INVALID"),
    "newline": ("a\nb", "ITEM_ID_INVALID"),
    "escape": ("\x1b[31m", "ITEM_ID_INVALID"),
    "C1 control": ("a\x85b", "ITEM_ID_INVALID"),
    "513 characters": ("x" * 513, "TEXT_TOO_LONG"),
    "a megabyte": ("x" * MILLION, "TEXT_TOO_LONG"),
    "a megabyte of marks": ("e" + "\u0301\u0323" * (MILLION // 4), "TEXT_TOO_LONG"),
}
TEXTS = {**{name: (text, "") for name, text in NAMED.items()}, **IMPOSSIBLE}


@pytest.fixture(scope="module")
def odd(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """To a server of items with odd ids."""
    folder, checkpoint = tmp_path_factory.mktemp("odd"), shop.checkpoint
    ids = [unicodedata.normalize("NFC", text) for text in NAMED.values()]
    duets = encode_images(checkpoint, [prepare(picture(1), checkpoint.preparation)] * len(ids), [()] * len(ids))
    index = Index.create(folder / "index")
    tables = tables_of(ids, range(len(ids)), duets, checkpoint)
    publish_tables(index, checkpoint, str(shop.checkpoint_folder), tables)
    with serving(Shop(index, checkpoint, shop.checkpoint_folder)) as running:
        with Client(running.target) as client:
            client.published()
        with grpc.insecure_channel(running.target) as channel:
            yield channel


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", NAMED)
def test_odd_ids_are_found_whole(odd: grpc.Channel, name: str, form: Any) -> None:
    stored, asked = unicodedata.normalize("NFC", NAMED[name]), unicodedata.normalize(form, NAMED[name])
    if len(asked) > 512:
        pytest.skip("longer than the limit in this form")
    hits = call(odd, "Search", S.SearchRequest(item_id=asked, page_size=100)).hits
    assert {hit.item_id for hit in hits} == {unicodedata.normalize("NFC", one) for one in NAMED.values()} - {stored}
    item = call(odd, "GetItem", C.GetItemRequest(name=f"items/{asked}")).item
    assert (item.item_id, item.name) == (stored, f"items/{stored}")


@pytest.mark.parametrize("name", TEXTS)
def test_odd_texts_are_data_everywhere(channel: grpc.Channel, name: str) -> None:
    text, fault = TEXTS[name]
    too_long = fault == "TEXT_TOO_LONG"
    found = (lambda reason, field: invalid(fault, field)) if fault else not_found
    unknown = "TEXT_TOO_LONG" if too_long else "UNKNOWN_{}"
    item = item_id(1)

    def wrong(kind: str, field: str) -> Outcome:
        return invalid(unknown.format(kind), field)

    def brand(value: str) -> Any:
        return {"comparison": {"column": "brand", "operator": 1, "value": {"string_value": value}}}

    rows: list[tuple[str, Any, Outcome]] = [
        ("Search", S.SearchRequest(item_id=text), found("ITEM_NOT_FOUND", "item_id")),
        ("GetItem", C.GetItemRequest(name=f"items/{text}"), found("ITEM_NOT_FOUND", "name")),
        ("GetItem", C.GetItemRequest(name=text), invalid("NAME_INVALID", "name")),
        (
            "Search",
            S.SearchRequest(item_id=item, snapshot=f"snapshots/{text}"),
            not_found("SNAPSHOT_NOT_FOUND", "snapshot"),
        ),
        (
            "GetTaxonomy",
            C.GetTaxonomyRequest(snapshot=f"snapshots/{text}"),
            not_found("SNAPSHOT_NOT_FOUND", "snapshot"),
        ),
        ("GetSnapshot", C.GetSnapshotRequest(name=f"snapshots/{text}"), not_found("SNAPSHOT_NOT_FOUND", "name")),
        (
            "Search",
            S.SearchRequest(item_id=item, attributes=[{"attribute": text}]),
            wrong("ATTRIBUTE", "attributes[0].attribute"),
        ),
        (
            "Search",
            S.SearchRequest(attributes=[{"attribute": "collar", "classes": ["polo", text]}]),
            wrong("CLASS", "attributes[0].classes[1]"),
        ),
        (
            "Search",
            S.SearchRequest(item_id=item, attributes=[{"attribute": "collar", "excluded_classes": [text]}]),
            wrong("CLASS", "attributes[0].excluded_classes[0]"),
        ),
        (
            "Search",
            S.SearchRequest(item_id=item, manipulations=[{"attribute": text, "to_class": "red"}]),
            wrong("ATTRIBUTE", "manipulations[0].attribute"),
        ),
        (
            "Search",
            S.SearchRequest(item_id=item, manipulations=[{"attribute": "colour", "to_class": text}]),
            wrong("CLASS", "manipulations[0].to_class"),
        ),
        (
            "Search",
            S.SearchRequest(
                item_id=item,
                filter={"comparison": {"column": text, "operator": 1, "value": {"int_value": 1}}},
            ),
            wrong("COLUMN", "filter.comparison.column"),
        ),
        (
            "Search",
            S.SearchRequest(item_id=item, filter=brand(text)),
            invalid("TEXT_TOO_LONG", "filter.comparison.value") if too_long else OK,
        ),
        (
            "Search",
            S.SearchRequest(
                item_id=item, filter={"membership": {"column": "brand", "values": [{"string_value": text}]}}
            ),
            invalid("TEXT_TOO_LONG", "filter.membership.values[0]") if too_long else OK,
        ),
        (
            "Search",
            S.SearchRequest(
                item_id=item,
                filter={"comparison": {"column": "added", "operator": 1, "value": {"string_value": text}}},
            ),
            invalid("FILTER_TYPE", "filter.comparison.value"),
        ),
    ]
    for method, request, expected in rows:
        assert outcome(channel, method, request) == expected, request
    if not too_long:  # quotes never become part of a query: what is not a brand of an item is met by none
        assert call(channel, "Search", S.SearchRequest(item_id=item, filter=brand(text))).total_candidates == 0


@pytest.mark.parametrize("name", TEXTS)
def test_odd_texts_change_nothing(channel: grpc.Channel, name: str) -> None:
    text, fault = TEXTS[name]
    too_long = fault == "TEXT_TOO_LONG"

    def put(**fields: Any) -> Any:
        return C.UpsertItemsRequest(item={"item_id": "new", "image": picture(1), **fields})

    rows: list[tuple[str, Any, Outcome]] = [
        (
            "UpsertItems",
            put(labels=[{"attribute": text}]),
            invalid("TEXT_TOO_LONG" if too_long else "UNKNOWN_ATTRIBUTE", "[0].item.labels[0].attribute"),
        ),
        (
            "UpsertItems",
            put(labels=[{"attribute": "collar", "classes": ["polo", text]}]),
            invalid("TEXT_TOO_LONG" if too_long else "UNKNOWN_CLASS", "[0].item.labels[0].classes[1]"),
        ),
        (
            "UpsertItems",
            put(metadata={text: {"int_value": 1}}),
            invalid("TEXT_TOO_LONG" if too_long else "UNKNOWN_COLUMN", f"[0].item.metadata[{text[:80]}]"),
        ),
    ]
    if fault:  # else they are ids
        rows += [
            ("UpsertItems", put(item_id=text), invalid(fault, "[0].item.item_id")),
            ("DeleteItems", C.DeleteItemsRequest(item_ids=[item_id(1), text]), invalid(fault, "item_ids[1]")),
        ]
    if too_long:
        rows += [
            ("UpsertItems", C.UpsertItemsRequest(request_id=text, item=put().item), invalid(fault, "request_id")),
            ("DeleteItems", C.DeleteItemsRequest(request_id=text, item_ids=["a"]), invalid(fault, "request_id")),
            ("PublishSnapshot", C.PublishSnapshotRequest(request_id=text), invalid(fault, "request_id")),
        ]
    for method, request, expected in rows:
        assert outcome(channel, method, request) == expected, request


def test_a_quoted_class_and_a_quoted_brand_are_found(channel: grpc.Channel) -> None:
    condition: Any = {"attribute": "pattern", "classes": ['it\'s "plain"']}
    brand: Any = {"comparison": {"column": "brand", "operator": 1, "value": {"string_value": "O'Brien"}}}
    answer = call(channel, "Search", S.SearchRequest(item_id=item_id(0), attributes=[condition], filter=brand))
    assert answer.total_candidates == 10


FILTER: dict[str, Any] = {"column": "price", "operator": 3, "value": {"int_value": 5}}


def asked(**fields: Any) -> Any:
    return S.SearchRequest(item_id=item_id(1), **fields)


def weighed(weight: float) -> Any:
    return asked(attributes=[{"attribute": "collar", "weight": weight}])


def compared(column: str, operator: int = 3, **value: Any) -> Any:
    return asked(filter={"comparison": {"column": column, "operator": operator, "value": value}})


def member_of(count: int) -> Any:
    return asked(filter={"membership": {"column": "price", "values": [{"int_value": 1}] * count}})


WEIGHT = invalid("WEIGHT_INVALID", "attributes[0].weight")
VALUE = "filter.comparison.value"


@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        # Sizes of pages.
        ("Search", asked(page_size=INT32_MIN), invalid("PAGE_SIZE_NEGATIVE", "page_size")),
        ("ListSnapshots", C.ListSnapshotsRequest(page_size=INT32_MIN), invalid("PAGE_SIZE_NEGATIVE", "page_size")),
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


REFUSED = invalid("PAGE_TOKEN_INVALID", "page_token")


def forged(**changes: Any) -> str:
    """A token as the server spells them, of another key."""
    body = json.dumps({"snapshot_id": "s00000001", "digest": "snapshots", "offset": 0, **changes}).encode()
    return base64.urlsafe_b64encode(bytes(16) + body).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        forged(),
        forged(offset=-1),
        forged(offset="x"),
        forged(extra=1),
        "not base64!",
        "====",
        "A",
        " ",
        "\0",
        "é",
        "裙" * 500,
        "A" * MILLION,
        "../../etc/passwd",
        base64.urlsafe_b64encode(struct.pack("<16x")).decode(),
    ],
    ids=lambda token: token[:20],
)
@pytest.mark.parametrize(
    ("method", "message"), [("Search", S.SearchRequest), ("ListSnapshots", C.ListSnapshotsRequest)]
)
def test_forged_tokens(channel: grpc.Channel, method: str, message: Any, token: str) -> None:
    request = asked(page_token=token) if message is S.SearchRequest else message(page_token=token)
    assert outcome(channel, method, request) == REFUSED


def test_edited_and_truncated_tokens(channel: grpc.Channel) -> None:
    token = call(channel, "Search", asked(page_size=2)).next_page_token
    for n in range(len(token)):
        other = token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :]
        assert outcome(channel, "Search", asked(page_size=2, page_token=other)) == REFUSED
        if n:  # without any, it is the first page's request
            assert outcome(channel, "Search", asked(page_size=2, page_token=token[:n])) == REFUSED


def test_tokens_of_something_else(channel: grpc.Channel, shop: Shop, tmp_path: Path) -> None:
    token = call(channel, "Search", asked(page_size=2)).next_page_token
    mismatch = invalid("PAGE_TOKEN_MISMATCH", "page_token")
    assert outcome(channel, "Search", S.SearchRequest(item_id=item_id(2), page_token=token)) == mismatch
    assert outcome(channel, "Search", S.SearchRequest(image=picture(1), page_token=token)) == mismatch
    assert outcome(channel, "Search", asked(page_token=token, filter={"comparison": FILTER})) == mismatch
    assert outcome(channel, "ListSnapshots", C.ListSnapshotsRequest(page_token=token)) == mismatch
    own = make_shop(tmp_path, 3, like=shop)
    own.stock([9])
    with serving(own) as running, Client(running.target) as client, grpc.insecure_channel(running.target) as other:
        client.published()
        assert outcome(other, "Search", asked(page_token=token)) == REFUSED  # another server's
        listing = call(other, "ListSnapshots", C.ListSnapshotsRequest(page_size=1)).next_page_token
        assert outcome(other, "ListSnapshots", C.ListSnapshotsRequest(page_token=listing)) == OK
        assert outcome(other, "Search", asked(page_token=listing)) == mismatch


def test_a_token_of_a_snapshot_that_is_gone(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 4, like=shop)
    with serving(own) as running, Client(running.target) as client, grpc.insecure_channel(running.target) as channel:
        client.published()
        first, token = own.index.snapshots()[0], call(channel, "Search", asked(page_size=1)).next_page_token
        for seed in range(4):  # of the published ones a server keeps three open
            later = own.stock([20 + seed]).snapshot_id
            until(lambda wanted=later: client.published() == wanted)  # type: ignore[misc]
        version_file(own.index.table_uri("items", first.generation), first.versions["items"]).unlink()
        gone = grpc.StatusCode.FAILED_PRECONDITION
        for _ in range(2):
            assert outcome(channel, "Search", asked(page_token=token)) == Outcome(
                gone, "SNAPSHOT_EXPIRED", "page_token"
            )
            named = asked(snapshot=f"snapshots/{first.snapshot_id}")
            assert outcome(channel, "Search", named) == Outcome(gone, "SNAPSHOT_EXPIRED", "snapshot")
            assert outcome(channel, "Search", asked()) == OK


def test_the_guard_stops_what_leaves_loopback() -> None:
    for address in ("192.0.2.1", "2001:db8::1", "example.org"):
        with pytest.raises(AssertionError, match="left loopback"):
            leave_loopback(address)


def leave_loopback(address: str) -> None:
    with loopback_only(), pytest.raises(AssertionError, match="leaves loopback"):
        socket.create_connection((address, 80))
