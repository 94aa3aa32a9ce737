"""What answers calls, all in one process: the engines of an index, their threads, and both services over them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import grpc
from prometheus_client.registry import Collector

from pipelines.errors import DuetError
from pipelines.index.store import Index
from pipelines.rpc.duet.v1 import catalog_pb2_grpc, search_pb2_grpc
from pipelines.search.limits import Limits

from .calls import Calls
from .catalog_servicer import CatalogServicer
from .changes import Changes
from .engine_metrics import ServerState
from .engines import Engines
from .observing import Observer
from .pictures import Pictures
from .search_servicer import SearchServicer
from .settings import ServeSettings
from .writer import Writer

log = logging.getLogger("duet.serve")


class InProcess:
    """A `Backend` in this process.

    Args:
        index: that is followed.
        settings: threads, memory, what requests may name.
        limits: what one request may hold.
        observer: is told what happens.

    Attributes:
        engines: that answer.
        calls: threads of all calls but changes.
        search: the one service.
        catalog: the other.
    """

    def __init__(self, index: Index, settings: ServeSettings, limits: Limits, observer: Observer) -> None:
        self._settings, self._observer = settings, observer
        self.engines = Engines(index, settings, limits, observer)
        self.calls = Calls(settings.threads, settings.waiting)
        self._writes = Calls(1, settings.waiting)  # a thread of their own: they wait for each other, searches do not
        self._changes = Changes(self._writes.room, limits.idle_seconds)
        pictures = Pictures(settings.roots, limits)
        self.search = SearchServicer(self.engines, self.calls, pictures)
        writer = Writer(self.engines, settings)
        self.catalog = CatalogServicer(self.engines, self.calls, self._writes, self._changes, pictures, writer)

    @property
    def ready(self) -> bool:
        """See `Backend`."""
        return self.engines.ready

    def add_to(self, server: grpc.aio.Server) -> None:
        """See `Backend`."""
        search_pb2_grpc.add_SearchServiceServicer_to_server(self.search, server)
        catalog_pb2_grpc.add_CatalogServiceServicer_to_server(self.catalog, server)

    async def follow(self, became_ready: Callable[[], Awaitable[None]]) -> None:
        """See `Backend`. Loads what is published, and whatever is published later."""
        followed = None
        while True:
            await self.look()
            served = self.engines.published
            if served is not None and served is not followed:  # whoever loaded it: a change does so, too
                followed = served
                await became_ready()
                log.info("serving snapshot %s of %s", served.snapshot_id, self.engines.index.uri)
            await asyncio.sleep(self._settings.poll_seconds)

    async def look(self) -> bool:
        """Serve what is published now; what was served before goes on where that cannot be.

        Returns:
            False where it could not be found out what is published.

        Raises:
            DuetError: it cannot be, and nothing was.
        """
        try:
            await asyncio.to_thread(self.engines.refresh)
        except DuetError as error:
            if not self.engines.ready:
                raise
            self._observer.snapshot_failed()
            log.error("the new snapshot cannot be served, the one before stays: %s", error)
        except Exception:  # boundary: storage may fail in any way, and come back
            self._observer.snapshot_failed()
            log.exception("looking for a new snapshot failed")
            return False
        return True

    def state(self) -> Collector:
        """See `Backend`."""
        return ServerState(self.engines, self.calls, self._changes)

    def close(self) -> None:
        """See `Backend`."""
        self.calls.close()
        self._writes.close()
        self.engines.close()
