"""``grpc.health.v1``: one status of all services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Status = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):
    """gRPC's own would let those who watch wait for ever, and the end of a server for them.

    Args:
        services: full names of those that there are, beside the server as a whole.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._status = Status.NOT_SERVING
        self._changed, self._ended = asyncio.Event(), False

    def say(self, serving: bool, *, last: bool = False) -> None:
        """Tell everybody who watches.

        Args:
            serving: what is said from now on.
            last: whether it is never said otherwise again; whoever watches is told so, and let go.
        """
        if self._ended:
            return
        self._status, self._ended = Status.SERVING if serving else Status.NOT_SERVING, last
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The status now."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return Status(status=self._status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status now, and whenever it changes."""
        said = None
        while True:
            changed, ended = self._changed, self._ended
            status = self._status if request.service in self._services else Status.SERVICE_UNKNOWN
            if status != said:
                yield Status(status=status)
                said = status
            if ended:
                return
            await changed.wait()
