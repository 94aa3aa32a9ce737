"""Pictures that come again: encoded once, answered the same, kept within bounds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from model.manipulation import Operation
from pipelines.errors import ImageError, ModelError
from pipelines.search.limits import Limits
from pipelines.search.query import CheckpointEncoder, QueryDuet
from pipelines.search.request import AttributeCondition, Manipulation, SearchRequest
from pipelines.search.result import SearchResult
from pipelines.serve.client import Client
from pipelines.serve.duet_cache import CachingEncoder, DuetCache

from .shop import Running, Shop, item_id, make_shop, picture, serving
from .watchers import Scrape


class Counted(CheckpointEncoder):
    """Knows how often it was asked; waits at the gate."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop.checkpoint, Limits())
        self.asked: list[bytes] = []
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, image: bytes, classes: Sequence[int]) -> QueryDuet:
        self.asked.append(image)
        assert self.gate.wait(20)
        return super().encode(image, classes)


def same(one: QueryDuet, other: QueryDuet) -> None:
    """To the bit."""
    assert (one.attribute_embeddings == other.attribute_embeddings).all()
    assert (one.carried == other.carried).all() and (one.probabilities == other.probabilities).all()
    assert one.class_embeddings.keys() == other.class_embeddings.keys()
    assert all((vector == other.class_embeddings[index]).all() for index, vector in one.class_embeddings.items())


def bytes_of(duet: QueryDuet) -> int:
    vectors = (duet.attribute_embeddings, duet.carried, duet.probabilities, *duet.class_embeddings.values())
    return sum(vector.nbytes for vector in vectors)


def test_what_is_kept_is_what_was_encoded(shop: Shop) -> None:
    counted, plain = Counted(shop), CheckpointEncoder(shop.checkpoint, Limits())
    encoder = CachingEncoder(counted, DuetCache(1_000_000), "model")
    for classes in ((), (4,), (4, 1), (1, 4), (4, 4, 1), ()):
        same(encoder.encode(picture(1), classes), plain.encode(picture(1), classes))
    assert len(counted.asked) == 3, "other classes need another pass, the same in another order do not"
    same(encoder.encode(picture(2), ()), plain.encode(picture(2), ()))
    assert len(counted.asked) == 4


def test_equal_pictures_at_once_are_encoded_once(shop: Shop) -> None:
    counted = Counted(shop)
    counted.gate.clear()
    encoder = CachingEncoder(counted, DuetCache(1_000_000), "model")
    ready = threading.Barrier(17)

    def encode(_: int) -> QueryDuet:
        ready.wait()
        return encoder.encode(picture(1), (2,))

    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(encode, range(16))
        ready.wait()
        counted.gate.set()
        duets = list(answers)
        # In one of these threads, too: the main thread's number of torch's threads, and so its sums, may be others.
        wanted = pool.submit(CheckpointEncoder(shop.checkpoint, Limits()).encode, picture(1), (2,)).result()
    assert counted.asked == [picture(1)]
    for duet in duets:
        same(duet, wanted)


def test_models_do_not_share(shop: Shop) -> None:
    cache, first, second = DuetCache(1_000_000), Counted(shop), Counted(shop)
    for _ in range(2):
        CachingEncoder(first, cache, "one").encode(picture(1), ())
        CachingEncoder(second, cache, "other").encode(picture(1), ())
    assert (len(first.asked), len(second.asked)) == (1, 1)


def test_the_least_recently_used_goes(shop: Shop) -> None:
    counted = Counted(shop)
    size = max(bytes_of(counted.encode(picture(seed), ())) for seed in range(3))
    counted.asked.clear()
    cache = DuetCache(2 * size)
    encoder = CachingEncoder(counted, cache, "model")
    for seed in (0, 1, 0, 2, 0, 1):
        encoder.encode(picture(seed), ())
        assert 0 < cache.used_bytes <= cache.limit_bytes
    assert counted.asked == [picture(seed) for seed in (0, 1, 2, 1)], "2 put out 1, which had to be encoded again"


def test_what_alone_is_over_the_limit_is_answered_and_not_kept(shop: Shop) -> None:
    counted, cache = Counted(shop), DuetCache(10)
    encoder = CachingEncoder(counted, cache, "model")
    same(encoder.encode(picture(1), ()), encoder.encode(picture(1), ()))
    assert len(counted.asked) == 2 and cache.used_bytes == 0


def test_many_threads_keep_the_books(shop: Shop) -> None:
    counted = Counted(shop)
    plain = [CheckpointEncoder(shop.checkpoint, Limits()).encode(picture(seed), ()) for seed in range(6)]
    cache = DuetCache(sum(bytes_of(duet) for duet in plain) // 2)
    encoder = CachingEncoder(counted, cache, "model")
    seeds = np.random.default_rng(0).integers(0, 6, 120).tolist()
    with ThreadPoolExecutor(8) as pool:
        for seed, duet in zip(seeds, pool.map(lambda seed: encoder.encode(picture(seed), ()), seeds), strict=True):
            np.testing.assert_allclose(duet.attribute_embeddings, plain[seed].attribute_embeddings, atol=1e-5)
    assert 0 < cache.used_bytes <= cache.limit_bytes
    assert cache.used_bytes == sum(bytes_of(duet) for duet in cache._kept.values())
    assert not cache._coming
    assert 6 < len(counted.asked) < len(seeds)


def test_what_is_kept_has_memory_of_its_own(shop: Shop) -> None:
    """And not that of its batch."""
    encoder = CachingEncoder(CheckpointEncoder(shop.checkpoint, Limits()), DuetCache(1_000_000), "model")
    duet = encoder.encode(picture(1), (3,))
    kept = (duet.attribute_embeddings, duet.carried, duet.probabilities, *duet.class_embeddings.values())
    assert all(vector.base is None for vector in kept)


def test_a_bad_picture_is_not_kept(shop: Shop) -> None:
    counted, cache = Counted(shop), DuetCache(1_000_000)
    encoder = CachingEncoder(counted, cache, "model")
    for _ in range(2):
        with pytest.raises(ImageError):
            encoder.encode(b"no picture", ())
    assert len(counted.asked) == 2 and cache.used_bytes == 0 and not cache._coming


def test_who_waits_for_a_bad_picture_is_told(shop: Shop) -> None:
    counted = Counted(shop)
    counted.gate.clear()
    encoder = CachingEncoder(counted, DuetCache(1_000_000), "model")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(encoder.encode, b"no picture", ()) for _ in range(4)]
        counted.gate.set()
        for one in asked:
            with pytest.raises(ImageError):
                one.result(20)


class NotFinite(Counted):
    """Fails once."""

    def encode(self, image: bytes, classes: Sequence[int]) -> QueryDuet:
        duet = super().encode(image, classes)
        return duet if len(self.asked) > 1 else replace(duet, probabilities=duet.probabilities * np.float32("nan"))


def test_what_is_not_finite_is_not_kept(shop: Shop) -> None:
    encoder = CachingEncoder(NotFinite(shop), DuetCache(1_000_000), "model")
    with pytest.raises(ModelError):
        encoder.encode(picture(1), ())
    same(encoder.encode(picture(1), ()), CheckpointEncoder(shop.checkpoint, Limits()).encode(picture(1), ()))


COLLAR = AttributeCondition("collar", ("polo",))
ADD = Manipulation("pattern", Operation.ADD, "tribal")
REQUESTS = [
    SearchRequest(image=picture(3), page_size=4),
    SearchRequest(image=picture(3), page_size=4, attributes=(COLLAR,)),
    SearchRequest(image=picture(3), page_size=4, attributes=(COLLAR, AttributeCondition("pattern"))),
    SearchRequest(image=picture(3), page_size=4, attributes=(AttributeCondition("pattern"),), manipulations=(ADD,)),
    SearchRequest(image=picture(4), page_size=4),
]


def answers(running: Running) -> list[SearchResult]:
    """Of all requests, each asked twice and its second page, without what differs from time to time."""
    found = []
    with Client(running.target) as client:
        for request in REQUESTS:
            first = client.search(request)
            second = client.search(replace(request, page_token=first.next_page_token))
            found += [replace(one, timings={}, next_page_token="") for one in (first, client.search(request), second)]
            assert client.explain(request, item_id(1)) == client.explain(request, item_id(1))
    return found


def test_answers_are_the_same_without(shop: Shop) -> None:
    with serving(shop, query_cache_bytes=0) as without, serving(shop) as cached:
        assert answers(without) == answers(cached)


def test_hits_and_misses_are_counted(shop: Shop) -> None:
    name = "duet_query_cache_requests_total"
    with serving(shop, metrics_port=0) as running, Client(running.target) as client:
        first = client.search(REQUESTS[0])
        now = Scrape(running)
        assert (now(name, result="miss"), now(name, result="hit")) == (1, 0)
        assert 0 < now("duet_query_cache_bytes") < now("duet_query_cache_limit_bytes") == 64 * 1024**2
        client.search(replace(REQUESTS[0], page_token=first.next_page_token))
        client.embed(picture(3))
        client.explain(REQUESTS[0], item_id(1))
        client.search(item_id=item_id(1))
        client.search(REQUESTS[1])
        now = Scrape(running)
        assert (now(name, result="miss"), now(name, result="hit")) == (2, 3)
        assert now("duet_encoder_batch_pictures_sum") == 2


def test_nothing_is_kept_if_nothing_may_be(shop: Shop) -> None:
    with serving(shop, metrics_port=0, query_cache_bytes=0) as running, Client(running.target) as client:
        for _ in range(2):
            client.search(REQUESTS[0])
        now = Scrape(running)
        assert not now.labels("duet_query_cache_requests_total") and now("duet_encoder_batch_pictures_sum") == 2


def test_a_new_snapshot_of_the_same_model_finds_what_was_kept(
    shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = make_shop(tmp_path_factory.mktemp("own"), 3, like=shop)
    with serving(own, metrics_port=0) as running, Client(running.target) as client:
        before = client.search(REQUESTS[0])
        own.stock([7])
        while client.search(REQUESTS[0]).snapshot_id == before.snapshot_id:
            pass
        assert client.search(REQUESTS[0]).total_candidates == 4
        assert Scrape(running)("duet_encoder_batch_pictures_sum") == 1
