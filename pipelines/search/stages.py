"""The stages of a search, each timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stages:
    """Times what is done between entering a stage and leaving it.

    Args:
        before: called with each stage's name before it; what it raises ends the search.

    Attributes:
        seconds: by stage, in order.
    """

    def __init__(self, before: Callable[[str], None] = lambda stage: None) -> None:
        self._before = before
        self.seconds: dict[str, float] = {}

    def check(self, name: str) -> None:
        """Whether to go on with a stage that takes long: raises what `before` raises."""
        self._before(name)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Be in a stage."""
        self.check(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
