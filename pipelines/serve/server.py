"""The gRPC server: both services, health and reflection, following the index, draining on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from pipelines.errors import DuetError
from pipelines.index.store import Index
from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.limits import Limits

from .backend import Backend
from .health import Health
from .in_process import InProcess
from .interceptor import ObservingInterceptor
from .observing import Observer
from .operations import Operations
from .security.addresses import join
from .security.audit import append_to
from .security.listening import access, listen
from .settings import ServeSettings
from .unreadable import RefuseUnreadable

SERVICES = (
    search_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name,
    catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"].full_name,
)
_MESSAGE_MARGIN = 1024**2  # what a request may hold beside its picture


class Server:
    """A server at one address. Everything happens in the event loop that `start` is called in.

    Args:
        index: that is served.
        settings: address, who is let in, threads, memory.
        limits: what one request may hold; None = `Limits()`.
        observers: are told what happens, beside those that the settings ask for.
    """

    def __init__(
        self,
        index: Index,
        settings: ServeSettings,
        limits: Limits | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._settings, self._limits = settings, limits or Limits()
        self._operations = Operations(settings, observers)
        self._backend: Backend
        if settings.ray:
            from .replicas import Replicas  # Ray takes a second to import

            self._backend = Replicas(index, settings, self._limits)
        else:
            self._backend = InProcess(index, settings, self._limits, self._operations.observer)
        self._operations.watch(self._backend.state())
        self._health = Health(SERVICES)
        self._server: grpc.aio.Server | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen, then begin to load; returns the port. Raises `DuetError` if the settings do not allow it."""
        # Made here: it belongs to the running event loop.
        server = self._server = grpc.aio.server(
            # What is refused to strangers is counted, too; and what cannot be read is refused within, so it is audited.
            interceptors=[
                ObservingInterceptor(self._operations.observer, SERVICES),
                access(self._settings),
                RefuseUnreadable(),
            ],
            options=[
                ("grpc.max_receive_message_length", self._limits.image_bytes + _MESSAGE_MARGIN),
                ("grpc.so_reuseport", 0),  # else a second server would take half of the calls
            ],
        )
        self._backend.add_to(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        try:
            port = listen(server, self._settings)
            self._operations.start()
        except DuetError:
            await server.stop(None)
            raise
        await server.start()
        self._following = asyncio.create_task(self._backend.follow(self._became_ready))
        return port

    @property
    def ready(self) -> bool:
        """Whether a snapshot and its encoder are loaded."""
        return self._backend.ready

    @property
    def metrics_port(self) -> int | None:
        """That metrics are shown at; None where they are not asked for."""
        return self._operations.metrics_port

    async def wait(self) -> None:
        """Until the index cannot be served: raises the `DuetError` of the first load."""
        assert self._following is not None
        await self._following

    async def stop(self) -> None:
        """Say NOT_SERVING, refuse new calls, let the running ones finish within the drain time."""
        assert self._server is not None and self._following is not None
        self._health.say(False, last=True)
        self._following.cancel()
        await self._server.stop(self._settings.drain_seconds)
        self._server = None  # it shuts down once more when it is forgotten, which needs the event loop
        with contextlib.suppress(asyncio.CancelledError, Exception):  # `wait` raises it; the rest ends all the same
            await self._following
        await asyncio.to_thread(self._backend.close)
        await asyncio.to_thread(self._operations.close)

    async def _became_ready(self) -> None:
        self._health.say(True)


async def serve(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises `DuetError` if the index cannot be served at all."""
    if settings.audit is not None:
        append_to(settings.audit)
    server = Server(Index.open(settings.index), settings)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    port = await server.start()
    _tell(f"listening at {join(settings.host, port)}")
    if server.metrics_port is not None:
        _tell(f"metrics at http://{settings.metrics_host}:{server.metrics_port}/metrics")
    waiting = [asyncio.create_task(ended.wait()), asyncio.create_task(server.wait())]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if ended.is_set():
        _tell("draining")
    await server.stop()
    for task in waiting:
        task.cancel()
    if not ended.is_set():
        done.pop().result()


def _tell(line: str) -> None:
    """Print it, if anybody still reads: whoever started the server may be gone, and it drains all the same."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
