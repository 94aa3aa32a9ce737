"""BatchSearch: requests of one stream answered beside each other, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")


async def in_order(
    requests: AsyncIterable[Request], answer: Callable[[Request], Awaitable[Response]], at_once: int
) -> AsyncIterator[Response]:
    """Answer requests beside each other; each answer is yielded when it and all before it are there.

    Args:
        requests: read on as answers go out, so that a client which waits for an answer before it asks on gets it.
        answer: raises for what ends them all.
        at_once: answers under way, and those that are there but not yet taken.
    """
    room = asyncio.Semaphore(at_once)
    begun: asyncio.Queue[asyncio.Task[Response] | None] = asyncio.Queue()
    tasks: set[asyncio.Task[Response]] = set()

    async def read() -> None:
        try:
            async for request in requests:
                await room.acquire()
                task = asyncio.ensure_future(answer(request))
                tasks.add(task)
                begun.put_nowait(task)
        finally:
            begun.put_nowait(None)

    reading = asyncio.create_task(read())
    try:
        while (task := await begun.get()) is not None:
            yield await task
            tasks.discard(task)
            room.release()
        await reading  # what the stream itself raised
    finally:
        reading.cancel()
        for task in tasks:
            task.cancel()
