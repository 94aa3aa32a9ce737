"""Threads of calls, under a real server with a method of its own, which waits until it is told to go on."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2

from pipelines.errors import CheckpointError, ConflictError, EncoderError, StoreError, TaxonomyError
from pipelines.serve.calls import Calls, answered


class Slow:
    """Answers in two stages; `stages` says which were begun."""

    def __init__(self) -> None:
        self.calls = Calls(threads=1, waiting=10)
        self.stages: list[str] = []
        self.go_on = threading.Event()
        self.error: Exception | None = None
        self.works: list[weakref.ref[Callable[..., object]]] = []

    @answered
    async def Work(self, request: Any, context: Any) -> empty_pb2.Empty:
        def work(before_stage: Callable[[str], None]) -> empty_pb2.Empty:
            if self.error is not None:
                raise self.error
            self.stages.append("first")
            self.go_on.wait(10)
            before_stage("second")
            self.stages.append("second")
            return empty_pb2.Empty()

        self.works.append(weakref.ref(work))
        return await self.calls.run(context, work)


@pytest.fixture
def slow() -> Iterator[tuple[Slow, Any]]:
    loop, servicer = asyncio.new_event_loop(), Slow()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            servicer.Work, empty_pb2.Empty.FromString, empty_pb2.Empty.SerializeToString
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Slow", {"Work": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield (
            servicer,
            channel.unary_unary("/test.Slow/Work", empty_pb2.Empty.SerializeToString, empty_pb2.Empty.FromString),
        )
    servicer.go_on.set()
    asyncio.run_coroutine_threadsafe(server.stop(1), loop).result(10)
    servicer.calls.close()
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_answer(slow: tuple[Slow, Any]) -> None:
    servicer, method = slow
    servicer.go_on.set()
    assert method(empty_pb2.Empty(), timeout=10) == empty_pb2.Empty()
    assert servicer.stages == ["first", "second"]


@pytest.mark.parametrize("kind", [CheckpointError, TaxonomyError, EncoderError, StoreError, ConflictError])
def test_the_log_says_what_the_client_may_not_learn(
    slow: tuple[Slow, Any], kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    servicer, method = slow
    servicer.error = kind("/models/7 has no weights")
    with pytest.raises(grpc.RpcError) as caught:
        method(empty_pb2.Empty(), timeout=10)
    codes = {StoreError: grpc.StatusCode.DATA_LOSS, ConflictError: grpc.StatusCode.ABORTED}
    codes |= {CheckpointError: grpc.StatusCode.FAILED_PRECONDITION}
    assert caught.value.code() is codes.get(kind, grpc.StatusCode.INTERNAL)
    assert "/models" not in str(caught.value)
    (record,) = caplog.records
    assert record.message == "Work failed: /models/7 has no weights" and record.exc_info is None


def test_a_cancelled_call_ends_before_its_next_stage(slow: tuple[Slow, Any]) -> None:
    servicer, method = slow
    call = method.future(empty_pb2.Empty())
    wait_for(lambda: servicer.stages == ["first"])
    call.cancel()
    time.sleep(0.3)  # until the server has heard of it
    servicer.go_on.set()
    assert method(empty_pb2.Empty(), timeout=10) == empty_pb2.Empty()  # in the same thread, after the cancelled call
    assert servicer.stages == ["first", "first", "second"]


def test_a_call_whose_deadline_passed_ends_before_its_next_stage(slow: tuple[Slow, Any]) -> None:
    servicer, method = slow
    with pytest.raises(grpc.RpcError) as caught:
        method(empty_pb2.Empty(), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    servicer.go_on.set()
    assert method(empty_pb2.Empty(), timeout=10) == empty_pb2.Empty()
    assert servicer.stages == ["first", "first", "second"]


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_waits_and_is_not_wanted_any_more_is_let_go_at_once(slow: tuple[Slow, Any], cancelled: bool) -> None:
    servicer, method = slow
    first = method.future(empty_pb2.Empty())
    wait_for(lambda: servicer.stages == ["first"])
    second = method.future(empty_pb2.Empty(), timeout=10 if cancelled else 0.3)
    wait_for(lambda: servicer.calls.waiting == 1)
    if cancelled:
        second.cancel()
    wait_for(lambda: servicer.calls.waiting == 0)
    gc.collect()
    wait_for(lambda: servicer.works[1]() is None)  # the pictures that it may hold
    assert servicer.works[0]() is not None and not first.done()


def test_calls_that_wait_past_their_deadline_never_begin(slow: tuple[Slow, Any]) -> None:
    servicer, method = slow
    first = method.future(empty_pb2.Empty())
    wait_for(lambda: servicer.stages == ["first"])
    with pytest.raises(grpc.RpcError):
        method(empty_pb2.Empty(), timeout=0.2)
    servicer.go_on.set()
    first.result(10)
    assert method(empty_pb2.Empty(), timeout=10) == empty_pb2.Empty()
    assert servicer.stages == ["first", "second", "first", "second"]
