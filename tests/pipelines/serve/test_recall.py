"""Recall of answers that are made approximate by hand, of a real engine; today's engine compares everything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from pipelines.errors import StoreError
from pipelines.search.engine import Engine
from pipelines.search.request import SearchRequest
from pipelines.search.result import Hit, SearchResult
from pipelines.serve.engine_metrics import EngineMetrics
from pipelines.serve.observed_engine import ObservedEngine
from pipelines.serve.observing import Observer, Observers, Search
from pipelines.serve.recall import RecallSampler, ask_exactly, recall

from .shop import Shop, item_id, picture
from .watchers import until


class Rough(Engine):
    """Misses every fourth hit, unless it has to compare everything."""

    def search(self, request: SearchRequest, before_stage: Callable[[str], None] = lambda stage: None) -> SearchResult:
        found = super().search(request, before_stage)
        if request.exact:
            return found
        return replace(found, hits=tuple(hit for n, hit in enumerate(found.hits) if n % 4), exact=False)


class ObservedRough(ObservedEngine, Rough):
    """Observed, and then rough."""


@contextmanager
def sampling(
    shop: Shop, share: float, ask: Callable[[Search], SearchResult] = ask_exactly, chance: float = 0.5
) -> Iterator[tuple[ObservedRough, CollectorRegistry, RecallSampler]]:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry)
    sampler = RecallSampler(share, metrics.recall_measured, ask, chance=lambda: chance)
    snapshot = shop.index.latest()
    assert snapshot is not None
    observer = Observers([metrics, sampler])
    yield ObservedRough(shop.index.reader(snapshot), shop.checkpoint, observer=observer), registry, sampler
    sampler.close()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def test_a_rough_answer_is_asked_again_exactly(shop: Shop) -> None:
    with sampling(shop, share=1.0) as (engine, registry, _):
        assert len(engine.search(SearchRequest(image=picture(3), page_size=8)).hits) == 6
        until(lambda: value(registry, "duet_search_recall_ratio_count") == 1)
        assert value(registry, "duet_search_recall_ratio_sum") == 0.75
        assert value(registry, "duet_search_recall_ratio_bucket", le="0.8") == 1
        assert value(registry, "duet_search_recall_ratio_bucket", le="0.5") == 0
        # The second asking is no search of anyone's.
        assert value(registry, "duet_searches_total", answer="approximate") == 1
        assert value(registry, "duet_searches_total", answer="exact") == 0


@pytest.mark.parametrize(
    ("request_", "share", "chance"),
    [
        (SearchRequest(item_id=item_id(1), exact=True), 1.0, 0.0),
        (SearchRequest(item_id=item_id(1)), 0.3, 0.3),
        (SearchRequest(item_id=item_id(1)), 0.0, 0.0),
    ],
    ids=["exact already", "not drawn", "none are"],
)
def test_others_are_not(shop: Shop, request_: SearchRequest, share: float, chance: float) -> None:
    asked: list[Search] = []

    def ask(search: Search) -> SearchResult:
        asked.append(search)
        return ask_exactly(search)

    with sampling(shop, share, ask, chance) as (engine, _, sampler):
        engine.search(request_)
        sampler.close()
    assert not asked


def test_later_pages_are_not(shop: Shop) -> None:
    asked: list[str] = []

    def ask(search: Search) -> SearchResult:
        asked.append(search.request.page_token)
        return ask_exactly(search)

    with sampling(shop, 1.0, ask) as (engine, registry, _):
        request = SearchRequest(item_id=item_id(1), page_size=4)
        token = engine.search(request).next_page_token
        until(lambda: value(registry, "duet_search_recall_ratio_count") == 1)
        engine.search(replace(request, page_token=token))
        engine.search(request)
        until(lambda: value(registry, "duet_search_recall_ratio_count") >= 2)
    assert asked == ["", ""]


def test_the_caller_does_not_wait_and_what_comes_too_fast_is_left_out(shop: Shop) -> None:
    go_on = threading.Event()

    def slowly(search: Search) -> SearchResult:
        go_on.wait(20)
        return ask_exactly(search)

    with sampling(shop, 1.0, slowly) as (engine, registry, _):
        for seed in range(10):
            assert engine.search(SearchRequest(item_id=item_id(seed))).hits
        go_on.set()
        until(lambda: value(registry, "duet_search_recall_ratio_count") >= 4)
    assert value(registry, "duet_search_recall_ratio_count") <= 5  # one that was asked, four that waited
    assert value(registry, "duet_searches_total", answer="approximate") == 10


def test_one_that_cannot_be_asked_again_ends_nothing(shop: Shop) -> None:
    failed = threading.Event()

    def fail_first(search: Search) -> SearchResult:
        if not failed.is_set():
            failed.set()
            raise StoreError("the snapshot is gone")
        return ask_exactly(search)

    with sampling(shop, 1.0, fail_first) as (engine, registry, _):
        engine.search(SearchRequest(item_id=item_id(1)))
        assert failed.wait(20)
        engine.search(SearchRequest(item_id=item_id(1)))
        until(lambda: value(registry, "duet_search_recall_ratio_count") == 1)


def page(*hits: tuple[str, int, float]) -> SearchResult:
    return SearchResult(tuple(Hit(0, tier, score, name) for name, tier, score in hits), 9, False, "s1", "", {}, "")


EXACT = page(("a", 1, 0.5), ("b", 0, 0.9), ("c", 0, 0.8))


@pytest.mark.parametrize(
    ("found", "exact", "expected"),
    [
        (EXACT, EXACT, 1.0),
        (page(("a", 1, 0.5), ("b", 0, 0.9)), EXACT, 2 / 3),
        (page(("a", 1, 0.5), ("b", 0, 0.9), ("d", 0, 0.8)), EXACT, 1.0),  # as good as c
        (page(("a", 1, 0.5), ("b", 0, 0.9), ("d", 0, 0.7)), EXACT, 2 / 3),
        (page(), EXACT, 0.0),
        (page(), page(), 1.0),
    ],
)
def test_recall(found: SearchResult, exact: SearchResult, expected: float) -> None:
    assert recall(found, exact) == pytest.approx(expected)


def test_a_search_that_failed_is_told_with_the_stage_it_failed_in(shop: Shop) -> None:
    told: list[Search] = []

    class Keep(Observer):
        def search_ended(self, search: Search) -> None:
            told.append(search)

    snapshot = shop.index.latest()
    assert snapshot is not None
    engine = ObservedEngine(shop.index.reader(snapshot), shop.checkpoint, observer=Keep())
    result = engine.search(SearchRequest(item_id=item_id(1)))
    with pytest.raises(ValueError, match="none such"):
        engine.search(SearchRequest(item_id="none such"))
    assert [stage.name for stage in told[0].stages] == list(result.timings) and told[0].result is result
    for stage in told[0].stages:
        assert stage.seconds == pytest.approx(result.timings[stage.name], abs=0.05)
    assert [stage.name for stage in told[1].stages] == ["plan", "query"] and told[1].result is None
