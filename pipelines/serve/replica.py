"""One replica on Ray Serve: the same services as a server's own, asked through `Replica.answer` instead of a port."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from prometheus_client import CollectorRegistry
from ray import serve

from cluster.memory import limit_memory
from pipelines.index.store import Index
from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.limits import Limits

from .calls import status_of
from .engine_metrics import engine_watchers
from .error_reasons import bounded
from .errors import code_of, read_details
from .in_process import InProcess
from .logs import start_log
from .observing import Call, Observers, current_call
from .replica_metrics import QUEUE, Counted
from .settings import ServeSettings
from .traces import Traces, sent_to

METHODS: Mapping[str, MethodDescriptor] = {
    f"{service.full_name}/{method.name}": method
    for service in (*search_pb2.DESCRIPTOR.services_by_name.values(), *catalog_pb2.DESCRIPTOR.services_by_name.values())
    for method in service.methods
}
_DETAILS = "grpc-status-details-bin"

log = logging.getLogger("duet.serve")


@dataclass(frozen=True)
class Question:
    """A call, as it is passed on to a replica.

    Args:
        method: ``duet.v1.SearchService/Search``; of a method that answers with one message.
        requests: serialised; one, or all of a stream.
        seconds: until its deadline; None = it has none.
        trace_parent: W3C ``traceparent``; "" = none.
        change: of the last change that must be seen, whatever its name says; "" = there was none.
    """

    method: str
    requests: Sequence[bytes]
    seconds: float | None
    trace_parent: str
    change: str


@dataclass(frozen=True)
class Answer:
    """What became of it: a serialised response, or a serialised google.rpc.Status."""

    response: bytes = b""
    status: bytes = b""


class Replica:
    """Follows the index by itself. It is not there for calls before it has loaded what is published, if anything is.

    Args:
        index: its address.
        settings: of the server.
        limits: what one request may hold.

    Raises:
        DuetError: the index cannot be served.
    """

    async def __init__(self, index: str, settings: ServeSettings, limits: Limits) -> None:  # type: ignore[misc]  # Ray Serve awaits it
        limit_memory()
        start_log(settings)
        self._registry = CollectorRegistry()
        traces = [Traces(sent_to(settings.traces), settings.traces_sample)] if settings.traces else []
        counted = settings.metrics_port is not None
        watchers = engine_watchers(self._registry, settings.recall_sample) if counted else []
        self._observer = Observers([*traces, *watchers])
        self._backend = InProcess(await asyncio.to_thread(Index.open, index), settings, limits, self._observer)
        self._registry.register(self._backend.state())
        await asyncio.to_thread(self._backend.engines.refresh)
        self._following = asyncio.create_task(self._backend.follow(_nothing))
        self._change, self._catching_up = "", asyncio.Lock()

    async def ready(self) -> bool:
        """Whether a snapshot is loaded."""
        return self._backend.ready

    async def counted(self) -> Counted:
        """What is to be shown among the metrics."""
        own = serve.get_replica_context()
        families = await asyncio.to_thread(lambda: list(self._registry.collect()))
        return Counted(f"{own.deployment}-{own.replica_tag}", [one for one in families if one.name not in QUEUE])

    async def answer(self, question: Question) -> Answer:
        """Answer as the server's own services would; errors are in the answer."""
        method = METHODS[question.method]
        call = Call(question.method, question.trace_parent)
        current_call.set(call)
        self._observer.call_began(call)
        begin = time.perf_counter()
        try:
            await self._catch_up(question.change)
            kind = GetMessageClass(method.input_type)
            messages = [kind.FromString(data) for data in question.requests]
            services = self._backend.search, self._backend.catalog
            answer = next(getattr(one, method.name) for one in services if hasattr(one, method.name))
            context = _Context(question.seconds)
            response = await answer(_each(messages) if method.client_streaming else messages[0], context)
            return Answer(response=response.SerializeToString())
        except asyncio.CancelledError:
            call.code, call.reason = grpc.StatusCode.CANCELLED, grpc.StatusCode.CANCELLED.name
            raise
        except _AbortedError as aborted:
            return _failed(call, aborted.status)
        except Exception as error:  # noqa: BLE001 - boundary
            return _failed(call, status_of(error, method.name).SerializeToString())
        finally:
            call.seconds = time.perf_counter() - begin
            self._observer.call_ended(call)

    async def _catch_up(self, change: str) -> None:
        """Look for a new snapshot, once for each change that another replica has made."""
        if change in ("", self._change):
            return
        async with self._catching_up:
            # A change that cannot be served here must not end every search; one that was not seen is looked for again.
            if change != self._change and await self._backend.look():
                self._change = change

    async def __del__(self) -> None:  # Ray Serve awaits it, once no call is under way any more
        if not hasattr(self, "_following"):
            return
        self._following.cancel()
        await asyncio.to_thread(self._backend.close)
        await asyncio.to_thread(self._observer.close)


def _failed(call: Call, data: bytes) -> Answer:
    status = status_pb2.Status.FromString(data)
    call.code, call.reason = code_of(status.code), bounded(read_details(status)[0])
    return Answer(status=data)


class _AbortedError(Exception):
    def __init__(self, status: bytes) -> None:
        super().__init__()
        self.status = status


class _Context:
    """What servicers ask of gRPC's own."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def time_remaining(self) -> float | None:
        return None if self._end is None else self._end - time.monotonic()

    async def abort(
        self, code: grpc.StatusCode, details: str, trailing_metadata: Sequence[tuple[str, Any]]
    ) -> NoReturn:
        raise _AbortedError(dict(trailing_metadata)[_DETAILS])


async def _each(messages: Sequence[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def _nothing() -> None: ...
