"""Reading ahead: several threads are before whoever takes the results, by so many bytes and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

_MOST = 64  # results that wait or are under way, however small they are

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(
    read: Callable[[T], R],
    things: Iterable[T],
    threads: Executor,
    *,
    size: Callable[[R], int],
    parallel: int,
    held: int,
) -> Iterator[R]:
    """`read` of all things, in their order.

    A new one is begun while fewer than `parallel` are under way and those that wait to be taken have less than `held`
    bytes; so there are never more bytes than `held` and `parallel` times the largest.

    Args:
        read: runs in the threads; what it raises comes out where its result would have.
        things: to read; drawn as they are begun.
        threads: where it runs.
        size: bytes of a result.
        parallel: how many are read at the same time.
        held: bytes of the results that nobody has taken.
    """
    window: deque[Future[R]] = deque()
    rest = iter(things)

    def has_room() -> bool:
        if not window:
            return True
        done = [future for future in window if future.done()]
        if len(window) - len(done) >= parallel or len(window) >= _MOST:
            return False
        return sum(size(future.result()) for future in done if future.exception() is None) < held

    while True:
        while has_room():
            try:
                window.append(threads.submit(read, next(rest)))
            except StopIteration:
                break
        if not window:
            return
        yield window.popleft().result()
