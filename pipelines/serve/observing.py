"""What happens in a server, told to those who watch it: metrics, traces, the log. None of them can fail a request."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from pipelines.search.engine import Engine
    from pipelines.search.request import SearchRequest
    from pipelines.search.result import SearchResult

_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

log = logging.getLogger("duet.observing")


@dataclass(eq=False)
class Call:
    """One RPC. It says nothing of what the request holds.

    Args:
        method: ``duet.v1.SearchService/Search``.
        trace_parent: W3C ``traceparent`` of the caller; "" if it sent none that is valid.

    Attributes:
        began: nanoseconds since the epoch.
        trace_id: 32 hex digits; "" while the call belongs to no trace.
        child_parent: W3C ``traceparent`` for what the call asks of others; the caller's own while it has no span here.
        code: canonical status; known at the end.
        reason: of the error, one of `error_reasons.REASONS` or the status's name; "" if there was none.
        seconds: from the first handler to the last answer; known at the end.
    """

    method: str
    trace_parent: str = ""
    began: int = field(default_factory=time.time_ns)
    trace_id: str = ""
    child_parent: str = ""
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        valid = _TRACE_PARENT.fullmatch(self.trace_parent)
        self.trace_id = valid[1] if valid else ""
        self.trace_parent = self.child_parent = self.trace_parent if valid else ""

    @property
    def name(self) -> str:
        """The method without its service, of which no two have one name."""
        return self.method.rpartition("/")[2]


# Of the RPC that this task, or this thread, works for.
current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)


@dataclass(frozen=True)
class Stage:
    """A part of a search.

    Args:
        name: as the engine calls it.
        began: nanoseconds since the epoch.
        seconds: until the next one began, or the search ended.
    """

    name: str
    began: int
    seconds: float


@dataclass(frozen=True)
class Search:
    """A search that has ended.

    Args:
        engine: that was asked.
        request: what was asked.
        stages: that were begun, in order.
        result: None if it failed; the last stage did.
    """

    engine: Engine
    request: SearchRequest
    stages: Sequence[Stage]
    result: SearchResult | None


class Observer:
    """Is told what happens, from any thread; what it does not care for it leaves as it is here."""

    def call_began(self, call: Call) -> None:
        """An RPC of Duet's own services has come."""

    def call_ended(self, call: Call) -> None:
        """It has been answered, or given up."""

    def batched_failed(self, call: Call, code: grpc.StatusCode, reason: str) -> None:
        """One search of a batch has failed; the RPC of the batch goes on."""

    def search_ended(self, search: Search) -> None:
        """The engine has answered or failed; the call may have been given up before that."""

    def batch_encoded(self, pictures: int, seconds: float) -> None:
        """The encoder has been through so many pictures together."""

    def picture_encoded(self, known: bool) -> None:
        """A request has the duet of its picture; whether another one had already asked for it."""

    def snapshot_switched(self) -> None:
        """Another snapshot is served now."""

    def snapshot_failed(self) -> None:
        """The published snapshot could not be looked up or opened."""

    def close(self) -> None:
        """Nothing will be told any more."""


class Observers(Observer):
    """Tells several. One that fails is logged, the first time, and the others are told all the same."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        self._failed: set[Observer] = set()

    def call_began(self, call: Call) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.call_began(call))

    def call_ended(self, call: Call) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.call_ended(call))

    def batched_failed(self, call: Call, code: grpc.StatusCode, reason: str) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.batched_failed(call, code, reason))

    def search_ended(self, search: Search) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.search_ended(search))

    def batch_encoded(self, pictures: int, seconds: float) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.batch_encoded(pictures, seconds))

    def picture_encoded(self, known: bool) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.picture_encoded(known))

    def snapshot_switched(self) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.snapshot_switched())

    def snapshot_failed(self) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.snapshot_failed())

    def close(self) -> None:
        """See `Observer`."""
        self._tell(lambda one: one.close())

    def _tell(self, event: Callable[[Observer], None]) -> None:
        for one in self._observers:
            try:
                event(one)
            except Exception:  # boundary: watching is never worth a request
                if one not in self._failed:
                    self._failed.add(one)
                    log.exception("%s failed; its further failures are not logged", type(one).__name__)
