"""From a call to a thread and back: bounded, stopped when nobody waits any more, every error as one status."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc
import torch
from google.rpc import status_pb2
from grpc_status import rpc_status

from pipelines.errors import CheckpointError, ConflictError, DuetError

from .errors import OverloadError, StoppedError, to_status

T = TypeVar("T")
Method = Callable[[Any, Any, grpc.aio.ServicerContext], Awaitable[T]]
Stream = Callable[[Any, Any, grpc.aio.ServicerContext], AsyncIterator[T]]

log = logging.getLogger("duet.serve")


class Calls:
    """Threads that answer calls.

    Args:
        threads: calls at once.
        waiting: calls that may wait for a thread.

    Attributes:
        room: calls beyond which more are refused.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        # A search is many small products: torch's own threads would wait for each other's after every one of them.
        self._pool = ThreadPoolExecutor(threads, "search", initializer=torch.set_num_threads, initargs=(1,))
        self._threads, self.room = threads, threads + waiting
        self._under_way = 0

    @property
    def running(self) -> int:
        """Calls that a thread works on."""
        return min(self._under_way, self._threads)

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return self._under_way - self.running

    async def run(self, context: grpc.aio.ServicerContext, work: Callable[[Callable[[str], None]], T]) -> T:
        """Do some work in a thread.

        Args:
            context: of the call; its deadline and its cancellation end the work before its next stage.
            work: is given a function to call before each stage.

        Raises:
            OverloadError: too many calls wait already.
            StoppedError: the deadline has passed.
        """
        if self._under_way >= self.room:
            raise OverloadError
        remaining = context.time_remaining()
        end = None if remaining is None else time.monotonic() + remaining
        gone = threading.Event()
        given = [work]  # let go with its caller: it may hold pictures, and wait for long

        def before_stage(_: str) -> None:
            if gone.is_set() or (end is not None and time.monotonic() > end):
                raise StoppedError

        def job() -> T:
            before_stage("start")
            try:
                mine = given.pop()
            except IndexError:
                raise StoppedError from None
            return mine(before_stage)

        del work
        queued = self._pool.submit(contextvars.copy_context().run, job)
        future = asyncio.wrap_future(queued)
        self._under_way += 1
        future.add_done_callback(self._finished)  # when the thread is done, which may be after the caller has gone
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            gone.set()
            given.clear()
            queued.cancel()  # if it has not begun, its place is free at once
            raise

    def close(self) -> None:
        """Wait for the threads."""
        self._pool.shutdown()

    def _finished(self, future: asyncio.Future[Any]) -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()  # seen, also where nobody waits for it any more


def status_of(error: Exception, method: str) -> status_pb2.Status:
    """The status of what a method raised.

    What is not the client's fault is logged: a `DuetError` by its text, which may not reach the client, anything else
    with its traceback.
    """
    status = to_status(error)
    ours = status.code in (grpc.StatusCode.INTERNAL.value[0], grpc.StatusCode.DATA_LOSS.value[0])
    if ours or isinstance(error, (ConflictError, CheckpointError)):
        expected = isinstance(error, DuetError)
        log.error("%s failed: %s", method, error, exc_info=None if expected else error)
    return status


def answered(method: Method[T]) -> Method[T]:
    """Turn what a servicer's method raises into a status (`status_of`). Its request may be a stream."""

    @functools.wraps(method)
    async def bounded(self: Any, request: Any, context: grpc.aio.ServicerContext) -> T:
        try:
            return await method(self, request, context)
        except Exception as error:  # noqa: BLE001 - boundary
            await _abort(context, error, method.__name__)
        raise AssertionError("abort raises")

    return bounded


def answered_in_turn(method: Stream[T]) -> Stream[T]:
    """`answered`, of a method that answers with a stream."""

    @functools.wraps(method)
    async def bounded(self: Any, request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[T]:
        try:
            async for response in method(self, request, context):
                yield response
        except Exception as error:  # noqa: BLE001 - boundary
            await _abort(context, error, method.__name__)

    return bounded


async def _abort(context: grpc.aio.ServicerContext, error: Exception, method: str) -> None:
    native = rpc_status.to_status(status_of(error, method))
    await context.abort(native.code, native.details, native.trailing_metadata)
