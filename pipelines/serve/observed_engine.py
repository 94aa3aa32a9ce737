"""An engine whose searches are told to an observer, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pipelines.search.engine import Engine
from pipelines.search.request import SearchRequest
from pipelines.search.result import SearchResult

from .observing import Observer, Search, Stage


class ObservedEngine(Engine):
    """Answers as `Engine` does.

    Args:
        observer: is told of each search when it has ended.
        arguments: see `Engine`.
    """

    def __init__(self, *arguments: Any, observer: Observer, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._observer = observer

    def search(self, request: SearchRequest, before_stage: Callable[[str], None] = lambda stage: None) -> SearchResult:
        """See `Engine.search`."""
        begun: list[tuple[str, int, float]] = []

        def begin(stage: str) -> None:
            before_stage(stage)
            begun.append((stage, time.time_ns(), time.perf_counter()))

        result = None
        try:
            result = super().search(request, begin)
            return result
        finally:
            ends = [*(start for _, _, start in begun[1:]), time.perf_counter()]
            stages = [Stage(name, began, end - start) for (name, began, start), end in zip(begun, ends, strict=False)]
            self._observer.search_ended(Search(self, request, stages, result))

    def search_unobserved(self, request: SearchRequest) -> SearchResult:
        """`Engine.search`, and nobody is told."""
        return super().search(request)
