"""Every RPC of Duet's own services, with its status and its time, told to the observers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from pipelines.rpc.duet.v1 import search_pb2

from .error_reasons import bounded
from .errors import DOMAIN, code_of
from .handlers import behaviour_of, with_behaviour
from .observing import Call, Observer, current_call

_DETAILS = "grpc-status-details-bin"
# A client whose deadline passes cancels, and its clock may be a little ahead of ours: with less than this share of its
# time left we take it for the deadline.
_NEARLY_OVER = 0.05


class ObservingInterceptor(grpc.aio.ServerInterceptor):
    """Put it before all other interceptors: what they refuse is to be seen, too.

    Args:
        observer: is told.
        services: full names of those that are watched; health and reflection are not.
    """

    def __init__(self, observer: Observer, services: Sequence[str]) -> None:
        self._observer, self._services = observer, frozenset(services)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Wrap the method that answers."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method.lstrip("/")
        if handler is None or method.rpartition("/")[0] not in self._services:
            return handler
        call = Call(method, _trace_parent(handler_call_details.invocation_metadata))
        watch = self._streamed if handler.response_streaming else self._answered
        return with_behaviour(handler, watch(call, behaviour_of(handler)))

    def _answered(self, call: Call, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(request: Any, context: grpc.aio.ServicerContext) -> Any:
            with self._watched(call, context):
                return await method(request, context)

        return watched

    def _streamed(self, call: Call, method: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
        async def watched(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            with self._watched(call, context):
                responses = method(request, context)
                if hasattr(responses, "__aiter__"):
                    async for response in responses:
                        if isinstance(response, search_pb2.BatchSearchResponse) and response.HasField("error"):
                            error = response.error
                            self._observer.batched_failed(call, code_of(error.code), bounded(error.reason))
                        yield response
                else:  # writes to the context
                    await responses

        return watched

    @contextmanager
    def _watched(self, call: Call, context: grpc.aio.ServicerContext) -> Iterator[None]:
        current_call.set(call)  # each RPC is a task, with a context of its own
        allowed, begin = context.time_remaining(), time.perf_counter()
        self._observer.call_began(call)
        code = None
        try:
            yield
            code = context.code() or grpc.StatusCode.OK
        except (asyncio.CancelledError, GeneratorExit):
            over = allowed is not None and context.time_remaining() <= allowed * _NEARLY_OVER
            code = grpc.StatusCode.DEADLINE_EXCEEDED if over else grpc.StatusCode.CANCELLED
            raise
        finally:
            call.code = code or context.code() or grpc.StatusCode.UNKNOWN  # the latter two of what the method raised
            call.seconds = time.perf_counter() - begin
            if call.code is not grpc.StatusCode.OK:
                call.reason = _reason(context) or call.code.name
            self._observer.call_ended(call)


def _trace_parent(metadata: Sequence[tuple[str, str | bytes]] | None) -> str:
    found = next((value for key, value in metadata or () if key == "traceparent"), "")
    return found if isinstance(found, str) else ""


def _reason(context: grpc.aio.ServicerContext) -> str:
    """Of the status that was sent; "" if it has none."""
    for key, value in context.trailing_metadata() or ():
        if key == _DETAILS:
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return bounded(info.reason)
    return ""
