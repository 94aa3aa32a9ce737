"""Changes under way: how many there may be, and how long a stream of items may stand still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from .errors import OverloadError, StoppedError

T = TypeVar("T")

_STREAMS = 2  # of items that are held at once; what the others send waits at their ends
_BROKEN_SECONDS = 0.05  # within which a call whose stream broke off is cancelled


class Changes:
    """Upserts, deletions and publications, each from its beginning to its answer.

    Args:
        room: changes beyond which more are refused.
        idle_seconds: within which the next message of a stream must be there.

    Attributes:
        room: see above.
        under_way: changes that are read, wait or are made.
    """

    def __init__(self, room: int, idle_seconds: float) -> None:
        self.room, self.under_way = room, 0
        self._idle_seconds = idle_seconds
        self._turns = asyncio.Semaphore(_STREAMS)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Be one of the changes. Raises `OverloadError` where there are too many."""
        if self.under_way >= self.room:
            raise OverloadError
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    @asynccontextmanager
    async def stream(self, requests: AsyncIterable[T]) -> AsyncIterator[AsyncIterator[T]]:
        """Be one of the changes, and hold a stream of items, once there is a turn for it.

        Args:
            requests: of the stream; none is read before.

        Yields:
            The requests; reading them raises `StoppedError` where the next one does not come in time.

        Raises:
            OverloadError: there are too many changes.
        """
        with self.admitted():
            async with self._turns:
                yield self._in_time(requests)

    async def _in_time(self, requests: AsyncIterable[T]) -> AsyncIterator[T]:
        """A silent caller would otherwise hold a turn for ever, and two of them everybody's."""
        coming = aiter(requests)
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds):
                    request = await anext(coming)
            except StopAsyncIteration:
                # gRPC ends a stream that broke off like one that is whole, and cancels the call thereafter.
                await asyncio.sleep(_BROKEN_SECONDS)
                return
            except TimeoutError:
                raise StoppedError(f"nothing came for {self._idle_seconds:g} seconds") from None
            yield request
