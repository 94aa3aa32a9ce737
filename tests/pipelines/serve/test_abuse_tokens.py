"""The table of abuse: page tokens that are forged, edited, of something else, or of what is gone."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import grpc
import pytest

from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.serve.client import Client

from .abuse import FILTER, OK, Outcome, asked, call, invalid, outcome
from .shop import Shop, item_id, make_shop, picture, serving
from .test_lifecycle import until, version_file

pytestmark = pytest.mark.usefixtures("on_loopback", "then_served")

C, S = catalog_pb2, search_pb2
MILLION = 1_000_000
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


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
    ("method", "message"),
    [
        ("Search", S.SearchRequest),
        ("ListSnapshots", C.ListSnapshotsRequest),
        ("ListItems", C.ListItemsRequest),
    ],
)
def test_forged_tokens(channel: grpc.Channel, method: str, message: Any, token: str) -> None:
    request = asked(page_token=token) if message is S.SearchRequest else message(page_token=token)
    assert outcome(channel, method, request) == REFUSED


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Search", asked),
        ("ListItems", C.ListItemsRequest),
    ],
)
def test_edited_and_truncated_tokens(channel: grpc.Channel, method: str, request_: Any) -> None:
    token = call(channel, method, request_(page_size=2)).next_page_token
    for n in range(len(token)):
        other = token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :]
        assert outcome(channel, method, request_(page_size=2, page_token=other)) == REFUSED
        if n:  # without any, it is the first page's request
            assert outcome(channel, method, request_(page_size=2, page_token=token[:n])) == REFUSED


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
        of_items = call(channel, "ListItems", C.ListItemsRequest(page_size=1)).next_page_token
        for seed in range(4):  # of the published ones a server keeps three open
            later = own.stock([20 + seed]).snapshot_id
            until(lambda wanted=later: client.published() == wanted)  # type: ignore[misc]
        version_file(own.index.table_uri("items", first.generation), first.versions["items"]).unlink()
        gone = grpc.StatusCode.FAILED_PRECONDITION
        for _ in range(2):
            assert outcome(channel, "Search", asked(page_token=token)) == Outcome(
                gone, "SNAPSHOT_EXPIRED", "page_token"
            )
            listing = outcome(channel, "ListItems", C.ListItemsRequest(page_token=of_items))
            assert listing == Outcome(gone, "SNAPSHOT_EXPIRED", "page_token")
            named = asked(snapshot=f"snapshots/{first.snapshot_id}")
            assert outcome(channel, "Search", named) == Outcome(gone, "SNAPSHOT_EXPIRED", "snapshot")
            assert outcome(channel, "Search", asked()) == OK
