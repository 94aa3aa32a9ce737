"""BatchSearch: order, errors, and what happens on the way."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from pipelines.rpc.duet.v1 import search_pb2, search_pb2_grpc
from pipelines.search.request import AttributeCondition, SearchRequest
from pipelines.serve.batch import in_order
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError
from pipelines.serve.search_messages import write_request

from .shop import Running, Shop, item_id, picture, serving


def test_answers_are_those_of_single_searches_in_their_order(client: Client) -> None:
    requests = [SearchRequest(item_id=item_id(n), page_size=3) for n in range(12)]
    requests[4] = SearchRequest(image=picture(30), page_size=3)
    for found, request in zip(client.batch(requests), requests, strict=True):
        assert not isinstance(found, ServiceError)
        assert found.hits == client.search(request).hits


def test_a_bad_request_fails_itself_only(client: Client) -> None:
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    bad = [
        (SearchRequest(item_id="nobody"), grpc.StatusCode.NOT_FOUND, "ITEM_NOT_FOUND", "item_id"),
        (SearchRequest(), invalid, "QUERY_REQUIRED", ""),
        (SearchRequest(image=b"x"), invalid, "IMAGE_FORMAT", "image"),
        (
            SearchRequest(item_id=item_id(1), page_size=-1),
            grpc.StatusCode.INVALID_ARGUMENT,
            "PAGE_SIZE_NEGATIVE",
            "page_size",
        ),
    ]
    good = SearchRequest(item_id=item_id(1), page_size=2)
    requests = [one for request, *_ in bad for one in (request, good)]
    found = list(client.batch(requests))
    for (_, code, reason, field), error in zip(bad, found[::2], strict=True):
        assert isinstance(error, ServiceError)
        assert (error.code, error.field) == (code, field)
        assert error.reason == reason or (reason == "IMAGE_FORMAT" and error.reason.startswith("IMAGE_"))
    assert [len(one.hits) for one in found[1::2] if not isinstance(one, ServiceError)] == [2] * len(bad)


def test_a_client_may_wait_for_each_answer_before_it_asks_on(running: Running) -> None:
    asked: queue.Queue[SearchRequest | None] = queue.Queue()

    def messages() -> Iterator[search_pb2.BatchSearchRequest]:
        while (request := asked.get()) is not None:
            yield search_pb2.BatchSearchRequest(search=write_request(request))

    with grpc.insecure_channel(running.target) as channel:
        answers = search_pb2_grpc.SearchServiceStub(channel).BatchSearch(messages(), timeout=30)
        for n in range(5):
            asked.put(SearchRequest(item_id=item_id(n), page_size=1))
            assert len(next(answers).response.hits) == 1
        asked.put(None)
        assert list(answers) == []


def test_a_batch_that_is_left_leaves_nothing_behind(shop: Shop) -> None:
    def endless() -> Iterator[SearchRequest]:
        while True:
            yield SearchRequest(attributes=(AttributeCondition("colour", ("red",)),), page_size=1)

    with serving(shop, threads=2, waiting=30) as running, Client(running.target) as client:
        client.search(item_id=item_id(0))
        answers = client.batch(endless())
        for _ in range(20):
            next(answers)
        answers.close()  # type: ignore[attr-defined]
        del answers
        assert len(client.search(item_id=item_id(0), page_size=3).hits) == 3


def test_no_more_than_so_many_are_under_way() -> None:
    under_way, most = 0, 0

    async def requests() -> AsyncIterator[int]:
        for n in range(40):
            yield n

    async def answer(n: int) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (n % 3))
        under_way -= 1
        return n

    async def run() -> list[int]:
        return [n async for n in in_order(requests(), answer, 5)]

    assert asyncio.run(run()) == list(range(40))
    assert most == 5


def test_what_the_stream_raises_is_raised_after_what_came_before() -> None:
    async def requests() -> AsyncIterator[int]:
        yield 1
        raise OSError("gone")

    async def answer(n: int) -> int:
        return n

    got: list[int] = []

    async def run() -> None:
        async for n in in_order(requests(), answer, 5):
            got.append(n)  # noqa: PERF401 - what came before the error is kept

    with pytest.raises(OSError, match="gone"):
        asyncio.run(run())
    assert got == [1]
