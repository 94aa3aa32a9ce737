"""Both services, passing every call on: for each method of the descriptors a handler that asks someone else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from grpc_status import rpc_status

from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.limits import Limits

from .batch import in_order
from .calls import answered_in_turn, status_of
from .changes import Changes
from .errors import NotReadyError
from .replica import METHODS, Answer
from .search_messages import write_error
from .security.scopes import Scope, needed

Ask = Callable[[str, Sequence[bytes], grpc.aio.ServicerContext], Awaitable[Answer]]

_SEARCH = "duet.v1.SearchService/Search"


def add_forwarding(
    server: grpc.aio.Server, ask: Ask, limits: Limits, changes: Changes, ready: Callable[[], bool]
) -> None:
    """Register both services.

    Args:
        server: that they are added to.
        ask: passes one call on; it raises nothing, errors are in the answer.
        limits: how much of a stream is read.
        changes: those that are under way.
        ready: whether there is somebody to ask.
    """
    batches = _Batches(ask, limits, ready)
    services: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
    for path, method in METHODS.items():
        read = GetMessageClass(method.input_type).FromString
        if method.server_streaming:
            assert method.name == "BatchSearch"
            write = search_pb2.BatchSearchResponse.SerializeToString
            handler = grpc.stream_stream_rpc_method_handler(batches.BatchSearch, read, write)
        elif method.client_streaming:
            handler = grpc.stream_unary_rpc_method_handler(_stream(path, ask, limits, changes), read)
        else:
            place: Callable[[], AbstractContextManager[None]]
            place = changes.admitted if needed(path) is Scope.WRITE else nullcontext
            handler = grpc.unary_unary_rpc_method_handler(_one(path, ask, place), read)
        services.setdefault(method.containing_service.full_name, {})[method.name] = handler
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(name, handlers) for name, handlers in services.items())
    )


def _one(path: str, ask: Ask, place: Callable[[], AbstractContextManager[None]]) -> Callable[..., Awaitable[bytes]]:
    async def forward(request: Any, context: grpc.aio.ServicerContext) -> bytes:
        try:
            with place():
                answer = await ask(path, [request.SerializeToString()], context)
        except Exception as error:  # noqa: BLE001 - boundary
            answer = _failed(error, path)
        return await _given(answer, context)

    return forward


def _stream(path: str, ask: Ask, limits: Limits, changes: Changes) -> Callable[..., Awaitable[bytes]]:
    """A stream is passed on as a whole: one that breaks off is not begun, and it is begun again elsewhere by no one."""

    async def forward(requests: Any, context: grpc.aio.ServicerContext) -> bytes:
        try:
            async with changes.stream(requests) as coming:
                answer = await ask(path, await _read(coming, limits), context)
        except Exception as error:  # noqa: BLE001 - boundary
            answer = _failed(error, path)
        return await _given(answer, context)

    return forward


async def _read(requests: AsyncIterator[catalog_pb2.UpsertItemsRequest], limits: Limits) -> list[bytes]:
    """All of a stream; no more than the first message beyond the limits, with which it is refused for that."""
    messages: list[bytes] = []
    taken = 0
    async for request in requests:
        messages.append(request.SerializeToString())
        taken += len(messages[-1])
        if len(messages) > limits.changed_items or taken > limits.changed_bytes:
            break
    return messages


def _failed(error: Exception, path: str) -> Answer:
    return Answer(status=status_of(error, path).SerializeToString())


async def _given(answer: Answer, context: grpc.aio.ServicerContext) -> bytes:
    if answer.status:
        native = rpc_status.to_status(status_pb2.Status.FromString(answer.status))
        await context.abort(native.code, native.details, native.trailing_metadata)
    return answer.response


class _Batches:
    """BatchSearch: each request of a stream is passed on by itself, so that several replicas share it."""

    def __init__(self, ask: Ask, limits: Limits, ready: Callable[[], bool]) -> None:
        self._ask, self._limits, self._ready = ask, limits, ready

    @answered_in_turn
    async def BatchSearch(self, requests: Any, context: Any) -> AsyncIterator[search_pb2.BatchSearchResponse]:
        if not self._ready():  # then the batch as a whole is to be tried again
            raise NotReadyError

        async def answer(request: search_pb2.BatchSearchRequest) -> search_pb2.BatchSearchResponse:
            given = await self._ask(_SEARCH, [request.search.SerializeToString()], context)
            if given.status:
                return search_pb2.BatchSearchResponse(error=write_error(status_pb2.Status.FromString(given.status)))
            return search_pb2.BatchSearchResponse(response=search_pb2.SearchResponse.FromString(given.response))

        async for response in in_order(requests, answer, self._limits.batch_searches):
            yield response
