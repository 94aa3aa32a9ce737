"""What clients do by themselves: give up in time, and ask again where nothing was begun. The server is a bare one."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.request import SearchRequest
from pipelines.serve import client_calls
from pipelines.serve.async_client import AsyncClient
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError

Method = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]
KINDS = ["threads", "event loop"]
ITEM = catalog_pb2.UpsertItem(item_id="a", image=bytes(500_000))
ASKS: dict[str, Callable[[Any], Any]] = {
    "search": lambda client: client.search(image=bytes(1_000_000)),
    "pages": lambda client: client.pages(SearchRequest(item_id="a")),
    "batch": lambda client: client.batch([SearchRequest(item_id="a")] * 5),
    "explain": lambda client: client.explain(SearchRequest(item_id="a"), "b"),
    "embed": lambda client: client.embed(b"a"),
    "item": lambda client: client.item("a"),
    "items": lambda client: client.items(),
    "upsert": lambda client: client.upsert([ITEM] * 3),
    "delete": lambda client: client.delete(["a"]),
    "publish": lambda client: client.publish(),
    "taxonomy": lambda client: client.taxonomy(),
    "limits": lambda client: client.limits(),
    "published": lambda client: client.published(),
}
FOUND = search_pb2.BatchSearchResponse(response=search_pb2.SearchResponse(model="m")).SerializeToString()


class Every(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Each method is the same one; on the wire all four kinds are one."""

    def __init__(self, method: Method) -> None:
        self.handler = grpc.stream_stream_rpc_method_handler(method)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return self.handler


@contextmanager
def bare(method: Method) -> Iterator[str]:
    """A server; yields its target."""
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(20), handlers=(Every(method),), options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait(20)


def asked(kind: str, target: str, ask: Callable[[Any], Any], **settings: Any) -> Any:
    """What a client of a kind gets, whole."""
    if kind == "threads":
        with Client(target, **settings) as client:
            value = ask(client)
            return list(value) if inspect.isgenerator(value) else value

    async def run() -> Any:
        async with AsyncClient(target, **settings) as client:
            value = ask(client)
            return [one async for one in value] if inspect.isasyncgen(value) else await value

    return asyncio.run(run())


def hang(_: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Never answers."""
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait(60)
    yield from ()


def test_every_method_is_asked() -> None:
    assert {name for name in vars(Client) if not name.startswith("_")} - {"close"} == set(ASKS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_call_waits_for_ever(kind: str) -> None:
    with bare(hang) as target:
        for name, ask in ASKS.items():
            begin = time.monotonic()
            with pytest.raises(ServiceError) as raised:
                asked(kind, target, ask, timeout=0.3)
            assert raised.value.code is grpc.StatusCode.DEADLINE_EXCEEDED, name
            assert 0.2 < time.monotonic() - begin < 10, name


@pytest.mark.parametrize("kind", KINDS)
def test_deadlines_by_default(kind: str) -> None:
    allowed: list[float | None] = []

    def refuse(_: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        allowed.append(context.time_remaining())
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        yield from ()

    with bare(refuse) as target:
        assert Client(target).timeout == 30
        for name, ask in ASKS.items():
            if name != "batch":  # a deadline of each answer, which the server is not told
                with pytest.raises(ServiceError):
                    asked(kind, target, ask)
    assert len(allowed) == len(ASKS) - 1 and all(one is not None and 20 < one < 31 for one in allowed)


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_batch_each_answer_has_the_time(kind: str) -> None:
    def slow(_: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in range(5):
            time.sleep(0.4)
            yield FOUND

    def stuck(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield FOUND
        yield from hang(requests, context)

    with bare(slow) as target:
        assert [one.model for one in asked(kind, target, ASKS["batch"], timeout=1.5)] == ["m"] * 5
    with bare(stuck) as target, pytest.raises(ServiceError, match=r"no answer within 0\.5 s") as raised:
        asked(kind, target, ASKS["batch"], timeout=0.5)
    assert raised.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["of the caller", "of a field"])
def test_what_fails_in_the_requests_of_a_batch_is_told(kind: str, what: str) -> None:
    def requests() -> Iterator[SearchRequest]:
        yield SearchRequest(item_id="a")
        if what == "of a field":
            yield SearchRequest(item_id="a", page_size=2**40)
        raise KeyError("mine")

    with bare(hang) as target, pytest.raises(KeyError if what == "of the caller" else ValueError):
        asked(kind, target, lambda client: client.batch(requests()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_fails_says_by_what(kind: str) -> None:
    def fail(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        assert len(list(requests)) == 5  # grpc.aio says INTERNAL of a call that ends while it is written to
        context.abort(grpc.StatusCode.ABORTED, "mine")
        yield FOUND

    with bare(fail) as target, pytest.raises(ServiceError, match="mine") as raised:
        asked(kind, target, ASKS["batch"])
    assert isinstance(raised.value.__cause__, grpc.RpcError)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["batch", "upsert"])
def test_a_stream_that_is_refused_at_once_says_why(kind: str, name: str) -> None:
    """Of one that was written to when it ended, grpc.aio would say INTERNAL: half of the times."""

    def refuse(_: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "mine")
        yield FOUND

    with bare(refuse) as target:
        for _ in range(20):
            with pytest.raises(ServiceError, match="mine"):
                asked(kind, target, ASKS[name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_is_left_is_ended(kind: str) -> None:
    ended = threading.Event()

    def answer(_: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.add_callback(ended.set)
        yield FOUND
        ended.wait(60)

    async def leave(target: str) -> bool:
        async with AsyncClient(target) as client:
            answers = client.batch(SearchRequest(item_id="a") for _ in range(10_000))
            async for _ in answers:
                break
            await answers.aclose()  # type: ignore[attr-defined]
            return await asyncio.to_thread(ended.wait, 10)

    with bare(answer) as target:
        if kind == "event loop":
            assert asyncio.run(leave(target))
            return
        with Client(target) as client:
            for _ in client.batch(SearchRequest(item_id="a") for _ in range(10_000)):
                break
            assert ended.wait(10)


def test_who_takes_answers_slowly_loses_none() -> None:
    def answer(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            yield FOUND

    with bare(answer) as target, Client(target, timeout=0.5) as client:
        found = 0
        for _ in client.batch([SearchRequest(item_id="a")] * 3):
            time.sleep(0.7)
            found += 1
    assert found == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "answer"), [("search", search_pb2.SearchResponse()), ("upsert", catalog_pb2.UpsertItemsResponse())]
)
def test_a_large_request_is_asked_again(kind: str, name: str, answer: Any) -> None:
    """One, and a stream of several, that are larger than what gRPC keeps of a call by default."""
    taken: list[int] = []

    def busy_at_first(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        taken.append(sum(map(len, requests)))
        if len(taken) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        yield answer.SerializeToString()

    with bare(busy_at_first) as target:
        asked(kind, target, ASKS[name])
    assert len(taken) == 2 and taken[0] == taken[1] > 1_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_is_asked_again(kind: str) -> None:
    codes = [code for code in grpc.StatusCode if code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)]
    for code in codes:
        calls: list[int] = []

        def refuse(
            requests: Iterator[bytes],
            context: grpc.ServicerContext,
            code: grpc.StatusCode = code,
            calls: list[int] = calls,
        ) -> Iterator[bytes]:
            calls.append(sum(map(len, requests)))
            context.abort(code, "no")
            yield from ()

        with bare(refuse) as target:
            for name in ("search", "upsert", "batch"):
                with pytest.raises(ServiceError) as raised:
                    asked(kind, target, ASKS[name])
                assert raised.value.code is code
        assert len(calls) == 3


@pytest.mark.parametrize("given", [None, "", "mine"])
def test_no_change_goes_without_an_id(given: str | None) -> None:
    """It would be made twice where the answer was lost."""
    for make in (
        lambda: client_calls.upsert([ITEM, ITEM], given).request[0],
        lambda: client_calls.delete(["a"], given).request,
        lambda: client_calls.publish("s1", given).request,
    ):
        ids = [make().request_id for _ in range(2)]
        assert ids == ["mine"] * 2 if given else all(ids) and ids[0] != ids[1]
