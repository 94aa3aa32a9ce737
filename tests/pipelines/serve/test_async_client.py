"""The event loop's client is the threads' client."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import grpc
import pytest

from pipelines.rpc.duet.v1 import catalog_pb2
from pipelines.search.filters import Comparison, Operator
from pipelines.search.request import AttributeCondition, SearchRequest
from pipelines.serve.async_client import AsyncClient
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError

from .shop import Running, Shop, item_id, make_shop, picture, serving


def test_both_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        public = {name: method for name, method in vars(kind).items() if not name.startswith("_")}
        return {name: list(inspect.signature(method).parameters) for name, method in public.items()}

    assert methods(Client) == methods(AsyncClient)


def test_both_get_the_same_answers(client: Client, running: Running) -> None:
    request = SearchRequest(item_id=item_id(3), attributes=(AttributeCondition("collar"),), page_size=4)
    few = Comparison("price", Operator.LESS, 5)
    bad = SearchRequest(item_id="nobody")

    async def ask() -> None:
        async with AsyncClient(running.target) as other:
            assert (await other.search(request)).hits == client.search(request).hits
            pages = [page.hits async for page in other.pages(request)]
            assert pages == [page.hits for page in client.pages(request)]
            assert [item async for item in other.items(few, page_size=2)] == list(client.items(few))
            assert await other.item(item_id(1)) == client.item(item_id(1))
            assert await other.taxonomy() == client.taxonomy() and await other.limits() == client.limits()
            assert await other.published() == client.published()
            assert await other.embed(picture(1)) == client.embed(picture(1))
            assert (await other.explain(request, item_id(1))).hit == client.explain(request, item_id(1)).hit
            first, second = [one async for one in other.batch([request, bad])]
            assert not isinstance(first, ServiceError) and first.hits == client.search(request).hits
            assert isinstance(second, ServiceError) and second.reason == "ITEM_NOT_FOUND"
            with pytest.raises(ServiceError) as raised:
                await other.search(bad)
            assert (raised.value.code, raised.value.field) == (grpc.StatusCode.NOT_FOUND, "item_id")

    asyncio.run(ask())


def test_changes(shop: Shop, tmp_path: Path) -> None:
    async def change(target: str) -> None:
        async with AsyncClient(target) as client:
            first = await client.published()
            done = await client.upsert([catalog_pb2.UpsertItem(item_id="a", image=picture(60))], "one")
            assert done.changed_count == 1
            assert await client.upsert([catalog_pb2.UpsertItem(item_id="a", image=picture(60))], "one") == done
            assert (await client.search(image=picture(60), page_size=1)).hits[0].item_id == "a"
            assert (await client.delete(["a"])).deleted_count == 1
            await client.publish(first)
            assert [item.item_id async for item in client.items()] == [item_id(n) for n in range(3)]

    with serving(make_shop(tmp_path, 3, like=shop)) as running:
        with Client(running.target) as client:
            client.published()  # tried again until the server is ready
        asyncio.run(change(running.target))
