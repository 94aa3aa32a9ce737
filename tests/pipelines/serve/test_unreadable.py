"""Bytes that are no message, to every method."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import wrappers_pb2
from grpc_status import rpc_status

from pipelines.errors import RequestError
from pipelines.rpc.duet.v1 import search_pb2
from pipelines.serve.errors import to_status
from pipelines.serve.unreadable import RefuseUnreadable

from .abuse import METHODS, Outcome, invalid, outcome, outcome_of
from .shop import item_id

pytestmark = pytest.mark.usefixtures("on_loopback", "then_served")

REFUSED = invalid("MESSAGE_INVALID")


def length(size: int) -> bytes:
    """A size as protobuf writes it."""
    data = b""
    while size > 127:
        data, size = data + bytes([size & 127 | 128]), size >> 7
    return data + bytes([size])


def nested(depth: int) -> bytes:
    """A search by item with a filter that is a negation of a negation of …, that deep, as bytes."""
    data = b""
    for _ in range(depth):
        data = b"\x2a" + length(len(data)) + data  # field 5 both of SearchRequest and, negated, of Filter
    return search_pb2.SearchRequest(item_id=item_id(1)).SerializeToString() + data


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x05a", b"\x0b", b"\x07\x01"], ids=lambda data: data.hex())
def test_damaged_bytes_are_refused_by_every_method(channel: grpc.Channel, method: str, data: bytes) -> None:
    assert outcome(channel, method, data) == REFUSED


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("Search", b"\x12\x02\xff\xfe"),  # item_id
        ("Search", b"\x1a\x04\x0a\x02\xc3\x28"),  # attributes[0].attribute
        ("Search", b"\x12\x03\xed\xa0\x80"),  # half of a pair of surrogates
        ("Embed", b"\x12\x01\x80"),  # snapshot
        ("GetItem", b"\x0a\x02\xc0\xaf"),  # a slash in two bytes
        ("Search", nested(101)),
        ("Search", nested(10_000)),
    ],
)
def test_what_protobuf_does_not_take_is_refused(channel: grpc.Channel, method: str, data: bytes) -> None:
    assert outcome(channel, method, data) == REFUSED


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (16, invalid("FILTER_INVALID", "filter" + ".negated" * 15)),  # empty at the bottom
        (64, invalid("FILTER_INVALID", "filter" + ".negated" * 63)),
        (65, invalid("FILTER_TOO_LARGE", "filter")),
        (99, invalid("FILTER_TOO_LARGE", "filter")),
    ],
)
def test_what_protobuf_takes_is_the_filters_to_judge(channel: grpc.Channel, depth: int, expected: Outcome) -> None:
    assert outcome(channel, "Search", nested(depth)) == expected


class Echo:
    """A method of each kind: answers with what it is sent."""

    async def one(self, request: wrappers_pb2.StringValue, context: Any) -> wrappers_pb2.StringValue:
        return request

    async def many_answers(self, request: wrappers_pb2.StringValue, context: Any) -> AsyncIterator[Any]:
        for _ in range(2):
            yield request

    async def written_answers(self, request: wrappers_pb2.StringValue, context: Any) -> None:
        await context.write(request)

    async def many_requests(self, requests: AsyncIterator[Any], context: Any) -> wrappers_pb2.StringValue:
        return wrappers_pb2.StringValue(value="+".join([one async for one in self.values(requests, context)]))

    async def many(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for value in self.values(requests, context):
            yield wrappers_pb2.StringValue(value=value)

    async def values(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[str]:
        """Refuses what it cannot read, as every method of a stream must."""
        try:
            async for request in requests:
                yield request.value
        except RequestError as error:
            status = rpc_status.to_status(to_status(error))
            await context.abort(status.code, status.details, status.trailing_metadata)


@pytest.fixture(scope="module")
def echo() -> Iterator[grpc.Channel]:
    loop, servicer = asyncio.new_event_loop(), Echo()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    read, write = wrappers_pb2.StringValue.FromString, wrappers_pb2.StringValue.SerializeToString
    handlers = {
        "One": grpc.unary_unary_rpc_method_handler(servicer.one, read, write),
        "ManyAnswers": grpc.unary_stream_rpc_method_handler(servicer.many_answers, read, write),
        "WrittenAnswers": grpc.unary_stream_rpc_method_handler(servicer.written_answers, read, write),
        "ManyRequests": grpc.stream_unary_rpc_method_handler(servicer.many_requests, read, write),
        "Many": grpc.stream_stream_rpc_method_handler(servicer.many, read, write),
    }

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(interceptors=(RefuseUnreadable(),))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


GOOD, BAD = wrappers_pb2.StringValue(value="a").SerializeToString(), b"\x0a\x01\xff"


@pytest.mark.parametrize(
    ("method", "kind", "sent", "answers"),
    [
        ("One", "unary_unary", GOOD, ["a"]),
        ("ManyAnswers", "unary_stream", GOOD, ["a", "a"]),
        ("WrittenAnswers", "unary_stream", GOOD, ["a"]),
        ("ManyRequests", "stream_unary", [GOOD, GOOD], ["a+a"]),
        ("Many", "stream_stream", [GOOD, GOOD], ["a", "a"]),
        ("One", "unary_unary", BAD, None),
        ("ManyAnswers", "unary_stream", BAD, None),
        ("WrittenAnswers", "unary_stream", BAD, None),
        ("ManyRequests", "stream_unary", [GOOD, BAD], None),
        ("Many", "stream_stream", [GOOD, BAD], None),
    ],
)
def test_every_kind_of_method(
    echo: grpc.Channel, method: str, kind: str, sent: bytes | list[bytes], answers: list[str] | None
) -> None:
    function = getattr(echo, kind)(f"/test.Echo/{method}", None, wrappers_pb2.StringValue.FromString)
    received, ended = [], None
    try:
        answer = function(sent if isinstance(sent, bytes) else iter(sent), timeout=10)
        received = [one.value for one in (answer if kind.endswith("stream") else [answer])]
    except grpc.RpcError as error:
        ended = outcome_of(error)
    assert (ended == REFUSED) if answers is None else (received == answers)
