"""One replica, asked as Ray Serve asks it, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import status_pb2
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from pipelines.errors import CheckpointError, DuetError
from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.limits import Limits
from pipelines.serve.engines import Engines
from pipelines.serve.errors import read_details
from pipelines.serve.observing import Observers
from pipelines.serve.replica import Answer, Question, Replica
from pipelines.serve.settings import ServeSettings
from pipelines.serve.traces import Traces

from .shop import Shop, item_id, make_shop, picture

SEARCH = "duet.v1.SearchService/Search"


@asynccontextmanager
async def replica(shop: Shop) -> AsyncIterator[Replica]:
    """One that finds a new snapshot only when it is told of a change."""
    one = Replica.__new__(Replica)
    settings = ServeSettings(index=shop.index.uri, poll_seconds=1000)
    await one.__init__(shop.index.uri, settings, Limits())  # type: ignore[misc]
    try:
        yield one
    finally:
        await one.__del__()


def question(message: Message, method: str = SEARCH, *, seconds: float | None = None, change: str = "") -> Question:
    return Question(method, [message.SerializeToString()], seconds, "", change)


def found(answer: Answer) -> search_pb2.SearchResponse:
    assert not answer.status
    return search_pb2.SearchResponse.FromString(answer.response)


def refused(answer: Answer) -> tuple[int, str, str]:
    status = status_pb2.Status.FromString(answer.status)
    return (status.code, *read_details(status))


def test_errors_come_with_their_reason_and_field(shop: Shop) -> None:
    async def run() -> None:
        async with replica(shop) as one:
            assert await one.ready()
            answer = await one.answer(question(search_pb2.SearchRequest(item_id="nobody")))
            assert refused(answer) == (grpc.StatusCode.NOT_FOUND.value[0], "ITEM_NOT_FOUND", "item_id")
            late = await one.answer(question(search_pb2.SearchRequest(item_id=item_id(1)), seconds=-1))
            assert refused(late)[:2] == (grpc.StatusCode.DEADLINE_EXCEEDED.value[0], "STOPPED")

    asyncio.run(run())


def test_a_span_says_how_a_call_ended(shop: Shop) -> None:
    exporter = InMemorySpanExporter()

    async def run() -> None:
        async with replica(shop) as one:
            one._observer = Observers([Traces(SimpleSpanProcessor(exporter))])
            await one.answer(question(search_pb2.SearchRequest(item_id="nobody")))
            await one.answer(question(search_pb2.SearchRequest(item_id=item_id(1)), seconds=-1))
            await one.answer(question(search_pb2.SearchRequest(item_id=item_id(1))))
            call = asyncio.create_task(one.answer(question(search_pb2.SearchRequest(image=picture(99)))))
            await asyncio.sleep(0)  # now a thread works on it
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    asyncio.run(run())
    spans = [span.attributes or {} for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert [(span["rpc.response.status_code"], span.get("error.type")) for span in spans] == [
        ("NOT_FOUND", "ITEM_NOT_FOUND"),
        ("DEADLINE_EXCEEDED", "STOPPED"),
        ("OK", None),
        ("CANCELLED", "CANCELLED"),
    ]


def test_a_page_goes_on_elsewhere_in_the_same_index_only(shop: Shop, tmp_path: Path) -> None:
    elsewhere = make_shop(tmp_path, 3, like=shop)

    async def run() -> None:
        async with replica(shop) as one, replica(shop) as same, replica(elsewhere) as other:
            request = search_pb2.SearchRequest(item_id=item_id(1), page_size=4)
            first = found(await one.answer(question(request)))
            request.page_token = first.next_page_token
            assert [hit.rank for hit in found(await same.answer(question(request))).hits] == [5, 6, 7, 8]
            assert refused(await other.answer(question(request)))[1] == "PAGE_TOKEN_INVALID"

    asyncio.run(run())


def test_a_change_made_elsewhere_is_in_the_next_answer(shop: Shop, tmp_path: Path) -> None:
    mine = make_shop(tmp_path, 3, like=shop)

    async def run() -> None:
        async with replica(mine) as one, replica(mine) as other:
            put = catalog_pb2.UpsertItemsRequest(item=catalog_pb2.UpsertItem(item_id="new", image=picture(60)))
            answer = await one.answer(question(put, "duet.v1.CatalogService/UpsertItems"))
            assert catalog_pb2.UpsertItemsResponse.FromString(answer.response).changed_count == 1
            request = search_pb2.SearchRequest(image=picture(60))
            assert found(await other.answer(question(request))).total_candidates == 3
            assert found(await other.answer(question(request, change="first"))).total_candidates == 4

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "seen"), [(CheckpointError("no weights"), "second"), (OSError("storage is away"), "")]
)
def test_a_change_that_cannot_be_served_leaves_what_was(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception, seen: str
) -> None:
    """And what was not seen, as the storage was away, is looked for again."""

    def refresh(_: Engines) -> None:
        raise error

    async def run() -> None:
        async with replica(shop) as one:
            monkeypatch.setattr(Engines, "refresh", refresh)
            for change in ("first", "first", "second"):
                request = search_pb2.SearchRequest(item_id=item_id(1))
                assert found(await one.answer(question(request, change=change))).total_candidates == 19
            assert one._change == seen

    asyncio.run(run())


def test_it_is_not_there_before_it_can_serve_what_is_published(shop: Shop, tmp_path: Path) -> None:
    async def run() -> None:
        async with replica(make_shop(tmp_path / "empty", 0, like=shop)) as one:
            assert not await one.ready()
            assert refused(await one.answer(question(search_pb2.SearchRequest(item_id="a"))))[1] == "NOT_READY"
        settings = ServeSettings(index=shop.index.uri, checkpoint=str(tmp_path))
        with pytest.raises(DuetError, match="is no checkpoint"):
            await Replica.__new__(Replica).__init__(shop.index.uri, settings, Limits())  # type: ignore[misc]

    asyncio.run(run())
