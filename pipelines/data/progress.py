"""Progress of long work: a bar on a terminal, a plain line now and then otherwise. On stderr."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0


class Advance(Protocol):
    """Says that `count` more are done."""

    def __call__(self, count: int = 1) -> None:
        """Count `count` more as done."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show how far work on `total` things is; nothing is shown for work that is done at once."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count=1: bar.advance(task, count)
        return
    done, last = 0, time.monotonic()

    def advance(count: int = 1) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            console.print(f"{what}: {done:,} of {total:,}", highlight=False)

    yield advance
