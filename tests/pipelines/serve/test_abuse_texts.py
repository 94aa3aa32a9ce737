"""The table of abuse: ids, names and other texts."""

from __future__ import annotations

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

from .abuse import OK, Outcome, call, invalid, not_found, outcome
from .shop import Shop, item_id, picture, serving, tables_of

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


def odd_shop(folder: Path, like: Shop) -> Shop:
    """Items with odd ids, all of one picture."""
    checkpoint = like.checkpoint
    ids = [unicodedata.normalize("NFC", text) for text in NAMED.values()]
    duets = encode_images(checkpoint, [prepare(picture(1), checkpoint.preparation)] * len(ids), [()] * len(ids))
    index = Index.create(folder / "index")
    tables = tables_of(ids, range(len(ids)), duets, checkpoint)
    publish_tables(index, checkpoint, str(like.checkpoint_folder), tables)
    return Shop(index, checkpoint, like.checkpoint_folder)


@pytest.fixture(scope="module")
def odd(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    """To a server of items with odd ids."""
    with serving(odd_shop(tmp_path_factory.mktemp("odd"), shop)) as running:
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
