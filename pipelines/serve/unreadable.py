"""Requests whose bytes are no message: refused as the caller's fault, with a reason, whatever the method."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from pipelines.errors import RequestError

from .errors import to_status
from .handlers import behaviour_of, with_behaviour

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]]


@dataclass(frozen=True)
class _Unreadable:
    """Stands where the request would: gRPC itself would answer UNKNOWN, with a traceback in the log."""

    error: RequestError


class RefuseUnreadable(grpc.aio.ServerInterceptor):
    """Answers INVALID_ARGUMENT (``MESSAGE_INVALID``) where a request cannot be parsed.

    Damaged bytes, text that is not UTF-8, and messages within messages a hundred deep. In a stream of requests, reading
    on raises the `RequestError`.
    """

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """The method, with requests read in this way."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_deserializer is None:
            return handler
        wrap = _of_stream if handler.request_streaming else _of_one
        wrapped = with_behaviour(handler, wrap(behaviour_of(handler)))
        return wrapped._replace(request_deserializer=_reader(handler.request_deserializer))


def _reader(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError as error:
            return _Unreadable(RequestError("MESSAGE_INVALID", f"the request cannot be read: {error}"))

    return read


def _of_one(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes one request; gRPC tells by its kind of function how it answers, so that stays."""
    if inspect.isasyncgenfunction(method):

        async def answers(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            await _refuse(request, context)
            async for answer in method(request, context):
                yield answer

        return answers

    async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
        await _refuse(request, context)
        return await method(request, context)

    return answer


def _of_stream(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes a stream of requests."""
    if inspect.isasyncgenfunction(method):

        async def answers(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            async for answer in method(_readable(requests), context):
                yield answer

        return answers

    async def answer(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> Any:
        return await method(_readable(requests), context)

    return answer


async def _readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        if isinstance(request, _Unreadable):
            raise request.error
        yield request


async def _refuse(request: Any, context: grpc.aio.ServicerContext) -> None:
    if isinstance(request, _Unreadable):
        status = rpc_status.to_status(to_status(request.error))
        await context.abort(status.code, status.details, status.trailing_metadata)
