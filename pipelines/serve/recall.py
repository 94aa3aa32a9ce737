"""How much approximate searches miss: some are asked again, exactly, off the request path."""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Callable
from dataclasses import replace

from pipelines.search.result import SearchResult

from .observed_engine import ObservedEngine
from .observing import Observer, Search

_WAITING = 4  # searches; while so many wait, no more are taken

Ask = Callable[[Search], SearchResult]

log = logging.getLogger("duet.recall")


class RecallSampler(Observer):
    """Asks one search at a time again, in a thread of its own. Only first pages: a later one depends on those before.

    Args:
        share: of the approximate searches that are asked again, in [0, 1].
        measured: is given the recall of each.
        ask: answers a search exactly.
        chance: a number in [0, 1), another one each time.
    """

    def __init__(
        self,
        share: float,
        measured: Callable[[float], None],
        ask: Ask | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._share, self._measured, self._ask, self._chance = share, measured, ask or ask_exactly, chance
        self._searches: queue.Queue[Search | None] = queue.Queue(_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recall", daemon=True)
        self._thread.start()

    def search_ended(self, search: Search) -> None:
        """See `Observer`."""
        result = search.result
        if result is None or result.exact or search.request.page_token or self._chance() >= self._share:
            return
        try:
            self._searches.put_nowait(search)
        except queue.Full:
            log.debug("a search is not asked again: %d wait already", _WAITING)

    def close(self) -> None:
        """Finish the search that is being asked again, drop those that wait."""
        self._closing.set()
        self._searches.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (search := self._searches.get()) is not None:
            if self._closing.is_set():
                continue
            try:
                assert search.result is not None
                self._measured(recall(search.result, self._ask(search)))
            except Exception as error:  # noqa: BLE001  # boundary: the snapshot may be gone by now
                log.warning("a search could not be asked again: %s", error)


def recall(found: SearchResult, exact: SearchResult) -> float:
    """Share of the exact page that was found. Of hits that are equally good, one is as good as the other."""
    if not exact.hits:
        return 1.0
    wanted, last = {hit.item_id for hit in exact.hits}, exact.hits[-1]
    right = sum(hit.item_id in wanted or (hit.tier, hit.score) >= (last.tier, last.score) for hit in found.hits)
    return min(1.0, right / len(exact.hits))


def ask_exactly(search: Search) -> SearchResult:
    """The same request to the same snapshot, every candidate compared; not counted as a search."""
    assert isinstance(search.engine, ObservedEngine)
    return search.engine.search_unobserved(replace(search.request, exact=True))
