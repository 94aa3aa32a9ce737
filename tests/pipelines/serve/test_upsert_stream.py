"""Items that cannot be put in, or taken out: nothing is changed."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import timestamp_pb2

from pipelines.rpc.duet.v1 import catalog_pb2, value_pb2
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError

from .shop import Running, Shop, picture

Item = catalog_pb2.UpsertItem


def ids(client: Client) -> list[str]:
    return [item.item_id for item in client.items()]


TEXT = value_pb2.Value(string_value="x")
WRONG = {
    "no items": ([], "ITEMS_REQUIRED", ""),
    "no picture": ([Item(item_id="a")], "PICTURE_REQUIRED", "[0].item.image"),
    "no id": ([Item(image=b"x")], "ITEM_ID_INVALID", "[0].item.item_id"),
    "a control character": ([Item(item_id="a\0", image=b"x")], "ITEM_ID_INVALID", "[0].item.item_id"),
    "a long id": ([Item(item_id="a" * 513, image=b"x")], "TEXT_TOO_LONG", "[0].item.item_id"),
    "one id twice": (
        [Item(item_id="\u00e5", image=b"x"), Item(item_id="a\u030a", image=b"y")],
        "DUPLICATE_ITEM",
        "[1].item.item_id",
    ),
    "an unknown column": (
        [Item(item_id="a", image=b"x", metadata={"cost": TEXT})],
        "UNKNOWN_COLUMN",
        "[0].item.metadata[cost]",
    ),
    "a text for a number": (
        [Item(item_id="a", image=b"x", metadata={"price": TEXT})],
        "METADATA_TYPE",
        "[0].item.metadata[price]",
    ),
    "a time for a number": (
        [Item(item_id="a", image=b"x", metadata={"price": value_pb2.Value(timestamp_value=timestamp_pb2.Timestamp())})],
        "METADATA_TYPE",
        "[0].item.metadata[price]",
    ),
    "a value of no kind": (
        [Item(item_id="a", image=b"x", metadata={"price": value_pb2.Value()})],
        "VALUE_INVALID",
        "[0].item.metadata[price]",
    ),
    "an unknown attribute": (
        [Item(item_id="a", image=b"x", labels=[catalog_pb2.ItemLabels(attribute="hat")])],
        "UNKNOWN_ATTRIBUTE",
        "[0].item.labels[0].attribute",
    ),
    "an unknown class": (
        [Item(item_id="a", image=b"x", labels=[catalog_pb2.ItemLabels(attribute="collar", classes=["hat"])])],
        "UNKNOWN_CLASS",
        "[0].item.labels[0].classes[0]",
    ),
    "too many": ([Item(item_id=f"{n}", image=b"x") for n in range(21)], "TOO_MANY", "[20].item"),
    "a long text": (
        [Item(item_id="a", image=b"x", metadata={"brand": value_pb2.Value(string_value="x" * 513)})],
        "TEXT_TOO_LONG",
        "[0].item.metadata[brand]",
    ),
    "too large": ([Item(item_id="a", image=b"x" * 100_001)], "TOO_MANY_BYTES", "[0].item"),
    "too large a text": (
        [Item(item_id="a", image=b"x", metadata={"brand": value_pb2.Value(string_value="x" * 1_000_000)})],
        "TOO_MANY_BYTES",
        "[0].item",
    ),
}


def test_what_cannot_be_put_in_changes_nothing(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    before = client.published()
    for name, (items, reason, field) in WRONG.items():
        with pytest.raises(ServiceError) as raised:
            client.upsert([Item(item_id="good", image=picture(60)), *items] if name == "too many" else items)
        assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason), name
        assert raised.value.field == field, name
    for item_ids, reason, field in (
        ([], "ITEMS_REQUIRED", "item_ids"),
        (["a", ""], "ITEM_ID_INVALID", "item_ids[1]"),
        (["a"] * 21, "TOO_MANY", "item_ids"),
    ):
        with pytest.raises(ServiceError) as raised:
            client.delete(item_ids)
        assert (raised.value.reason, raised.value.field) == (reason, field)
    assert client.published() == before and len(ids(client)) == 8
