"""Pages wait for their turn, unless they have to read tables."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipelines.search import ranked_page
from pipelines.search.engine import Engine
from pipelines.search.matrices import MatrixCache
from pipelines.search.request import SearchRequest

from .world import World, make_world


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> threading.BoundedSemaphore:
    """The only one there is."""
    only = threading.BoundedSemaphore(1)
    monkeypatch.setattr(ranked_page, "_TURNS", only)
    return only


def engine_of(world: World, cache_bytes: int) -> Engine:
    return Engine(world.reader(), world.checkpoint, cache=MatrixCache(cache_bytes))


def test_one_after_the_other(turn: threading.BoundedSemaphore) -> None:
    world = make_world(1, 30)
    engine, under_way, most = engine_of(world, 10**9), 0, 0
    requests = [SearchRequest(item_id=item_id) for item_id in world.ids]

    def watch(stage: str) -> None:
        nonlocal under_way, most
        under_way += {"candidates": 1, "explain": -1}.get(stage, 0)
        most = max(most, under_way)

    def search(request: SearchRequest) -> list[str]:
        return [hit.item_id for hit in engine.search(request, watch).hits]

    with ThreadPoolExecutor(8) as threads:
        at_once = list(threads.map(search, requests))
    assert most == 1
    assert at_once == [search(request) for request in requests]


def test_who_reads_tables_waits_for_nobody(turn: threading.BoundedSemaphore) -> None:
    world = make_world(1, 30)
    request = SearchRequest(item_id=world.ids[3])
    wanted = engine_of(world, 10**9).search(request)
    with ThreadPoolExecutor(1) as thread, turn:
        kept = thread.submit(engine_of(world, 10**9).search, request)
        read = engine_of(world, 0).search(request)
        assert not kept.done()
    assert [replace(found, timings={}, next_page_token="") for found in (read, kept.result())] == [
        replace(wanted, timings={}, next_page_token="")
    ] * 2


def test_a_search_that_fails_gives_its_turn_back(turn: threading.BoundedSemaphore) -> None:
    world = make_world(1, 30)
    engine = engine_of(world, 10**9)

    def stop(stage: str) -> None:
        if stage == "score":
            raise TimeoutError

    with pytest.raises(TimeoutError):
        engine.search(SearchRequest(item_id=world.ids[0]), stop)
    assert turn.acquire(blocking=False)
    turn.release()
