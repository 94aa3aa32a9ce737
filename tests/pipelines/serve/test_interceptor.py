"""Calls of every kind, and every way that one can end, under a real server with methods of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2

from pipelines.errors import RequestError
from pipelines.serve.calls import Calls, answered
from pipelines.serve.interceptor import ObservingInterceptor
from pipelines.serve.observing import Call, current_call

from .watchers import Ended, until

EMPTY = empty_pb2.Empty()
READ, WRITE = empty_pb2.Empty.FromString, empty_pb2.Empty.SerializeToString
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Ways:
    """Methods, each of which ends in a way of its own."""

    def __init__(self) -> None:
        self.calls = Calls(threads=1, waiting=1)
        self.seen: list[Call | None] = []

    async def Answers(self, request: Any, context: Any) -> empty_pb2.Empty:
        return EMPTY

    async def SetsCode(self, request: Any, context: Any) -> empty_pb2.Empty:
        context.set_code(grpc.StatusCode.ALREADY_EXISTS)
        return EMPTY

    @answered
    async def Refuses(self, request: Any, context: Any) -> empty_pb2.Empty:
        raise RequestError("QUERY_REQUIRED", "nothing is asked")

    @answered
    async def RefusesAnew(self, request: Any, context: Any) -> empty_pb2.Empty:
        raise RequestError("NOBODY_KNOWS_THIS", "nothing is asked")

    async def Aborts(self, request: Any, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token")

    async def Breaks(self, request: Any, context: Any) -> None:
        raise OSError("disk")

    async def Waits(self, request: Any, context: Any) -> None:
        await asyncio.sleep(20)

    async def Thread(self, request: Any, context: Any) -> empty_pb2.Empty:
        self.seen.append(await self.calls.run(context, lambda _: current_call.get()))
        return EMPTY

    async def Yields(self, request: Any, context: Any) -> AsyncIterator[empty_pb2.Empty]:
        yield EMPTY
        yield EMPTY

    async def Writes(self, request: Any, context: Any) -> None:
        await context.write(EMPTY)
        await context.write(EMPTY)

    async def YieldsAndWaits(self, request: Any, context: Any) -> AsyncIterator[empty_pb2.Empty]:
        yield EMPTY
        await asyncio.sleep(20)

    async def YieldsAndBreaks(self, request: Any, context: Any) -> AsyncIterator[empty_pb2.Empty]:
        yield EMPTY
        raise OSError("disk")

    async def Counts(self, requests: Any, context: Any) -> empty_pb2.Empty:
        assert len([one async for one in requests]) == 3
        return EMPTY

    async def Echoes(self, requests: Any, context: Any) -> AsyncIterator[empty_pb2.Empty]:
        async for one in requests:
            yield one


STREAMS = dict.fromkeys(("Yields", "Writes", "YieldsAndWaits", "YieldsAndBreaks"), (False, True))
STREAMS |= {"Counts": (True, False), "Echoes": (True, True)}
SHAPES = {(False, False): "unary_unary", (False, True): "unary_stream"}
SHAPES |= {(True, False): "stream_unary", (True, True): "stream_stream"}


class World:
    def __init__(self, channel: grpc.Channel, ended: Ended, ways: Ways) -> None:
        self.channel, self.ended, self.ways = channel, ended, ways

    def start(self, name: str, service: str = "test.Ways", **options: Any) -> Any:
        """A call, of which nothing was read yet."""
        takes, gives = STREAMS.get(name, (False, False))
        method = getattr(self.channel, SHAPES[takes, gives])(f"/{service}/{name}", WRITE, READ)
        request = iter([EMPTY] * 3) if takes else EMPTY
        return method(request, **options) if gives else method.future(request, **options)

    def ask(self, name: str, **options: Any) -> tuple[int, grpc.StatusCode]:
        """Answers, and how it ended."""
        call, answers = self.start(name, timeout=options.pop("timeout", 10), **options), 0
        try:
            for _ in call if STREAMS.get(name, (False, False))[1] else [call.result()]:
                answers += 1
        except grpc.RpcError as error:
            return answers, error.code()
        return answers, call.code()

    def last(self, count: int) -> Call:
        until(lambda: len(self.ended.calls) == count)
        return self.ended.calls[-1]


@pytest.fixture
def world() -> Iterator[World]:
    loop, ways, ended = asyncio.new_event_loop(), Ways(), Ended()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(interceptors=[ObservingInterceptor(ended, ["test.Ways"])])
        names = [name for name in vars(Ways) if name[0].isupper()]
        handlers = {
            name: getattr(grpc, f"{SHAPES[STREAMS.get(name, (False, False))]}_rpc_method_handler")(
                getattr(ways, name), READ, WRITE
            )
            for name in names
        }
        for service in ("test.Ways", "test.Unwatched"):
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield World(channel, ended, ways)
    asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(10)
    ways.calls.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.mark.parametrize(
    ("name", "answers", "code", "reason"),
    [
        ("Answers", 1, "OK", ""),
        ("SetsCode", 0, "ALREADY_EXISTS", "ALREADY_EXISTS"),
        ("Refuses", 0, "INVALID_ARGUMENT", "QUERY_REQUIRED"),
        ("RefusesAnew", 0, "INVALID_ARGUMENT", "OTHER"),
        ("Aborts", 0, "UNAUTHENTICATED", "UNAUTHENTICATED"),
        ("Breaks", 0, "UNKNOWN", "UNKNOWN"),
        ("Yields", 2, "OK", ""),
        ("Writes", 2, "OK", ""),
        ("YieldsAndBreaks", 1, "UNKNOWN", "UNKNOWN"),
        ("Counts", 1, "OK", ""),
        ("Echoes", 3, "OK", ""),
    ],
)
def test_a_call_ends_once_with_its_status(world: World, name: str, answers: int, code: str, reason: str) -> None:
    assert world.ask(name) == (answers, grpc.StatusCode[code])
    call = world.last(1)
    assert (call.method, call.name, call.code.name, call.reason) == (f"test.Ways/{name}", name, code, reason)
    assert 0 < call.seconds < 10


@pytest.mark.parametrize("name", ["Waits", "YieldsAndWaits"])
def test_a_deadline_and_a_cancelled_call_are_told_apart(world: World, name: str) -> None:
    assert world.ask(name, timeout=0.3)[1] is grpc.StatusCode.DEADLINE_EXCEEDED
    assert world.last(1).code is grpc.StatusCode.DEADLINE_EXCEEDED
    call = world.start(name, timeout=10)
    threading.Timer(0.2, call.cancel).start()
    with pytest.raises((grpc.RpcError, grpc.FutureCancelledError)):
        list(call) if name in STREAMS else call.result(10)
    assert (world.last(2).code.name, world.last(2).reason) == ("CANCELLED", "CANCELLED")


def test_other_services_are_not_watched(world: World) -> None:
    world.start("Answers", "test.Unwatched").result(10)
    world.ask("Answers")
    assert world.last(1).method == "test.Ways/Answers"


@pytest.mark.parametrize(
    ("sent", "trace_id"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE),
        (f"cc-{TRACE}-{SPAN}-00", TRACE),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (f"00-{TRACE.upper()}-{SPAN}-01", ""),
        ("secret", ""),
    ],
)
def test_the_thread_of_a_call_knows_it_and_its_trace(world: World, sent: str, trace_id: str) -> None:
    world.ask("Thread", metadata=(("traceparent", sent),))
    call = world.last(1)
    assert world.ways.seen == [call]
    assert (call.trace_id, call.trace_parent) == (trace_id, sent if trace_id else "")
