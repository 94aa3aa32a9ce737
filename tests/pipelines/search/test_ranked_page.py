"""Pages wait for their turn, unless they have to read tables."""

from __future__ import annotations

import threading
from collections import Counter
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


def test_nobody_waits_who_reads_tables_or_compares_everything(turn: threading.BoundedSemaphore) -> None:
    world = make_world(1, 30)
    request = SearchRequest(item_id=world.ids[3])
    wanted = engine_of(world, 10**9).search(request).hits
    with ThreadPoolExecutor(1) as thread, turn:
        kept = thread.submit(engine_of(world, 10**9).search, request)
        assert engine_of(world, 0).search(request).hits == wanted
        assert engine_of(world, 10**9).search(replace(request, exact=True)).hits == wanted
        assert not kept.done()
    assert kept.result().hits == wanted


def test_embeddings_that_are_gone_when_its_turn_comes_are_read_again(turn: threading.BoundedSemaphore) -> None:
    world = make_world(1, 30)
    cache, request = MatrixCache(10**9), SearchRequest(item_id=world.ids[3])
    engine, waits = Engine(world.reader(), world.checkpoint, cache=cache), threading.Event()
    wanted, seen = engine.search(request).hits, Counter[str]()

    def watch(stage: str) -> None:
        seen[stage] += 1
        if seen["turn"] > 1:
            waits.set()

    with ThreadPoolExecutor(1) as thread, turn:
        found = thread.submit(engine.search, request, watch)
        assert waits.wait(30)
        for key in cache.residents():
            cache._forget(key, cache._kept[key][1])
    assert found.result().hits == wanted and cache.residents()


def test_who_is_not_waited_for_any_more_does_not_wait(turn: threading.BoundedSemaphore) -> None:
    world = make_world(1, 30)
    engine, seen = engine_of(world, 10**9), Counter[str]()

    def gone(stage: str) -> None:
        seen[stage] += 1
        if seen["turn"] > 1:
            raise TimeoutError

    with turn, pytest.raises(TimeoutError):
        engine.search(SearchRequest(item_id=world.ids[3]), gone)


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
