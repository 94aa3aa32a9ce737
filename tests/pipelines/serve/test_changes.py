"""Streams of items that stand still, and more changes than may wait: of a server, and of one that only passes on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, value_pb2
from pipelines.search.limits import Limits
from pipelines.serve.changes import Changes
from pipelines.serve.client import Client
from pipelines.serve.forwarding import add_forwarding
from pipelines.serve.in_process import InProcess
from pipelines.serve.replica import Answer

from .abuse import OK, Outcome, outcome, outcome_of
from .shop import Shop, item_id, make_shop, picture, serving
from .watchers import until

IDLE = 3.0
LIMITS = Limits(idle_seconds=IDLE, changed_bytes=100_000)
ROOM = 3
DONE = catalog_pb2.UpsertItemsResponse(changed_count=1).SerializeToString()
Place = Callable[[Shop, Path], AbstractContextManager[tuple[str, Changes]]]


@contextmanager
def served(shop: Shop, folder: Path) -> Iterator[tuple[str, Changes]]:
    """The target of a server that answers itself, and its changes."""
    mine = make_shop(folder, 3, like=shop)
    with serving(mine, LIMITS, waiting=ROOM - 1) as running, Client(running.target) as client:
        client.published()  # loaded
        assert isinstance(running.server._backend, InProcess)
        yield running.target, running.server._backend._changes


@contextmanager
def forwarded(shop: Shop, folder: Path, asked: list[Sequence[bytes]] | None = None) -> Iterator[tuple[str, Changes]]:
    """One that asks nobody; `asked` are the requests that it would pass on."""
    loop, changes = asyncio.new_event_loop(), Changes(ROOM, IDLE)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def ask(method: str, requests: Sequence[bytes], context: grpc.aio.ServicerContext) -> Answer:
        if asked is not None:
            asked.append(requests)
        return Answer(response=DONE)

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server()
        add_forwarding(server, ask, LIMITS, changes, lambda: True)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    yield f"127.0.0.1:{port}", changes
    asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def put(item: str, **metadata: Any) -> catalog_pb2.UpsertItemsRequest:
    return catalog_pb2.UpsertItemsRequest(item={"item_id": item, "image": picture(60), "metadata": metadata})


@contextmanager
def silent(channel: grpc.Channel, count: int) -> Iterator[list[Any]]:
    """Calls without a deadline, which send one item, and then nothing more and no end."""
    ended = threading.Event()

    def requests(number: int) -> Iterator[catalog_pb2.UpsertItemsRequest]:
        yield put(f"silent {number}")
        ended.wait(60)

    try:
        upsert = catalog_pb2_grpc.CatalogServiceStub(channel).UpsertItems
        yield [upsert.future(requests(number)) for number in range(count)]
    finally:
        ended.set()


@pytest.mark.parametrize("place", [served, forwarded])
def test_silent_streams_are_ended_and_others_get_their_turn(place: Place, shop: Shop, tmp_path: Path) -> None:
    with place(shop, tmp_path) as (target, changes), grpc.insecure_channel(target) as channel:
        with silent(channel, 2) as stalled:
            until(lambda: changes.under_way == 2)
            third = catalog_pb2_grpc.CatalogServiceStub(channel).UpsertItems.future(iter([put("third")]), timeout=30)
            until(lambda: changes.under_way == ROOM)
            refused = Outcome(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert outcome(channel, "UpsertItems", put("fourth")) == refused
            assert outcome(channel, "DeleteItems", catalog_pb2.DeleteItemsRequest(item_ids=["a"])) == refused
            assert outcome(channel, "PublishSnapshot", catalog_pb2.PublishSnapshotRequest()) == refused
            assert not third.done()
            assert third.result(30).changed_count == 1
            for call in stalled:
                assert outcome_of(call.exception(30)) == Outcome(grpc.StatusCode.DEADLINE_EXCEEDED, "STOPPED")
                assert "nothing came for" in call.details()
        until(lambda: changes.under_way == 0)
        assert outcome(channel, "UpsertItems", put("fourth")) == OK


def test_who_is_refused_is_told_when_to_come_again(shop: Shop, tmp_path: Path) -> None:
    with forwarded(shop, tmp_path) as (target, changes), grpc.insecure_channel(target) as channel:
        with silent(channel, ROOM) as stalled:
            until(lambda: changes.under_way == ROOM)
            with pytest.raises(grpc.RpcError) as caught:
                catalog_pb2_grpc.CatalogServiceStub(channel).UpsertItems(iter([put("a")]), timeout=30)
            assert not any(call.done() for call in stalled)
        retry = error_details_pb2.RetryInfo()
        assert rpc_status.from_call(caught.value).details[1].Unpack(retry) and retry.retry_delay.seconds == 1


def test_a_slow_stream_is_taken_to_its_end(shop: Shop, tmp_path: Path) -> None:
    def slowly() -> Iterator[catalog_pb2.UpsertItemsRequest]:
        for number in range(5):
            time.sleep(IDLE / 4)
            yield put(f"{number}")

    asked: list[Sequence[bytes]] = []
    with forwarded(shop, tmp_path, asked) as (target, _), grpc.insecure_channel(target) as channel:
        catalog_pb2_grpc.CatalogServiceStub(channel).UpsertItems(slowly(), timeout=60)
    assert [len(requests) for requests in asked] == [5]


def test_silent_streams_leave_the_catalogue_as_it_is(shop: Shop, tmp_path: Path) -> None:
    with served(shop, tmp_path) as (target, _), grpc.insecure_channel(target) as channel, Client(target) as client:
        with silent(channel, 2) as stalled:
            for call in stalled:
                assert call.exception(30) is not None
        assert [item.item_id for item in client.items()] == [item_id(number) for number in range(3)]


def test_of_texts_beyond_the_limit_only_the_first_is_held(shop: Shop, tmp_path: Path) -> None:
    asked: list[Sequence[bytes]] = []
    text = value_pb2.Value(string_value="x" * 60_000)
    with forwarded(shop, tmp_path, asked) as (target, _), grpc.insecure_channel(target) as channel:
        requests = [put(f"{number}", brand=text) for number in range(20)]
        catalog_pb2_grpc.CatalogServiceStub(channel).UpsertItems(iter(requests), timeout=30)
    assert [len(messages) for messages in asked] == [2], "the replica refuses the second one"
