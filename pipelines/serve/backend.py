"""What stands behind a server's port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import grpc
from prometheus_client.registry import Collector


class Backend(Protocol):
    """Answers the calls of both services: `InProcess`, or `Replicas` on Ray."""

    @property
    def ready(self) -> bool:
        """Whether a snapshot and its encoder are loaded."""
        ...

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register both services."""
        ...

    async def follow(self, became_ready: Callable[[], Awaitable[None]]) -> None:
        """Load the index, then keep up with it, until cancelled.

        Args:
            became_ready: is called once there is something to answer with; it may be called again.

        Raises:
            DuetError: the index cannot be served at all.
        """
        ...

    def state(self) -> Collector:
        """What is looked up when metrics are asked for."""
        ...

    def close(self) -> None:
        """Let go of everything, once no call is under way any more."""
        ...
