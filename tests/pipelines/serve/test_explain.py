"""Explain and ListItems over a real connection."""

from __future__ import annotations

import io
import time
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from model.manipulation import Operation
from pipelines.data.images import prepare
from pipelines.evaluate.attention import look, overlay
from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.explanation import explain_item
from pipelines.search.filters import Comparison, Operator
from pipelines.search.request import AttributeCondition, Manipulation, SearchRequest
from pipelines.serve.client import Client
from pipelines.serve.client_calls import Call
from pipelines.serve.errors import ServiceError
from tests.pipelines.search.world import TAXONOMY

from .shop import Shop, item_id, picture, serving
from .watchers import Hold, until


def test_every_hit_is_explained_as_it_was_ranked(client: Client) -> None:
    request = SearchRequest(
        image=picture(50),
        attributes=(AttributeCondition("pattern", ("print", "tribal"), weight=3), AttributeCondition("collar")),
        page_size=20,
    )
    result = client.search(request)
    for hit in result.hits[::4]:
        found = client.explain(request, hit.item_id)
        assert (found.hit.rank, found.hit.tier, found.hit.item_id) == (hit.rank, hit.tier, hit.item_id)
        assert [part.attribute for part in found.attributes] == ["collar", "pattern"]
        assert [part.weight for part in found.attributes] == [0.25, 0.75]
        assert sum(part.score_share for part in found.attributes) == pytest.approx(hit.score, abs=1e-5)
        assert sum(part.tier for part in found.attributes) == hit.tier
        for cls in found.attributes[1].classes:
            assert cls.HasField("probability") == cls.HasField("similarity") == cls.carried
    assert found.snapshot and found.model == result.model and "pattern" in found.plan


def test_the_encoders_attention_is_drawn(client: Client, shop: Shop) -> None:
    found = client.explain(SearchRequest(image=picture(3)), overlays=True)
    pixels = prepare(picture(3), shop.checkpoint.preparation)
    seen = look(shop.checkpoint.encoder, pixels)
    expected = {(name, ""): map_ for name, map_ in seen.attributes.items()} | dict(seen.classes)
    assert [(one.attribute, one.class_name) for one in found.attention] == list(expected)
    assert [one.attribute for one in found.attention][: len(TAXONOMY.names)] == list(TAXONOMY.names)
    for one in found.attention:
        map_ = expected[one.attribute, one.class_name]
        told = np.reshape(np.asarray(one.values, np.float32), (one.height, one.width))
        assert told == pytest.approx(map_, abs=1e-5)
        drawn = np.asarray(Image.open(io.BytesIO(one.overlay_png)), int)
        assert (
            np.abs(drawn - np.asarray(overlay(pixels, told), int)).max() <= 1
        )  # a nearly even map stretches roundings
    plain = client.explain(SearchRequest(image=picture(3)))
    assert plain.attention and not any(one.overlay_png for one in plain.attention) and not plain.HasField("hit")


def test_what_a_manipulation_did(client: Client) -> None:
    change = Manipulation("colour", Operation.REPLACE, "red")
    found = client.explain(SearchRequest(item_id=item_id(4), manipulations=(change,)), item_id(5))
    assert [one.attribute for one in found.changes] in ([], ["colour"])
    for one in found.changes:
        assert list(one.added_classes) == ["red"] and "red" not in one.removed_classes
    assert not found.attention and found.hit.rank >= 1


@pytest.mark.parametrize(
    ("image", "reason"),
    [(picture(1)[:90], "IMAGE_TRUNCATED"), (b"", "IMAGE_EMPTY"), (b"a", "IMAGE_UNSUPPORTED_FORMAT")],
)
def test_a_picture_that_cannot_be_used(client: Client, image: bytes, reason: str) -> None:
    """The field is that of the search within the request."""
    with pytest.raises(ServiceError) as raised:
        client.explain(SearchRequest(image=image), item_id(1))
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert raised.value.field == "search.image"


FEW = Comparison("price", Operator.LESS, 5)


@pytest.mark.parametrize(
    ("request_", "item", "reason"),
    [
        (SearchRequest(item_id=item_id(1)), item_id(1), "NOT_A_CANDIDATE"),
        (SearchRequest(item_id=item_id(1)), "nobody", "ITEM_NOT_FOUND"),
        (
            SearchRequest(item_id=item_id(1), filter=Comparison("price", Operator.LESS, 5)),
            item_id(9),
            "NOT_A_CANDIDATE",
        ),
        (SearchRequest(), item_id(1), "QUERY_REQUIRED"),
        (SearchRequest(item_id=item_id(1)), "a\0b", "ITEM_ID_INVALID"),
    ],
)
def test_what_cannot_be_explained(client: Client, request_: SearchRequest, item: str, reason: str) -> None:
    with pytest.raises(ServiceError) as raised:
        client.explain(request_, item)
    assert raised.value.reason == reason


def test_an_explanation_that_nobody_waits_for_is_not_ranked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    hold, ranked = Hold(), list[int]()

    def explain(*arguments: Any) -> Any:
        ranked.append(1)
        return explain_item(*arguments)

    monkeypatch.setattr("pipelines.search.engine.explain_item", explain)
    with serving(shop, observers=[hold]) as running, Client(running.target) as client:
        client.published()  # loaded
        message = search_pb2.ExplainRequest(search={"image": picture(91)}, item_id=item_id(1))
        late = client._stubs["Explain"].future(message, timeout=1)
        gone = client._stubs["Explain"].future(message)
        until(lambda: running.under_way == 2)
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED  # while its picture is encoded
        gone.cancel()
        time.sleep(0.3)  # until the server has heard of it
        hold.go_on.set()
        until(lambda: running.under_way == 0)
        assert not ranked
        assert client.explain(SearchRequest(image=picture(91)), item_id(1)).hit.rank and ranked


def test_items_are_listed_by_id_over_pages(client: Client) -> None:
    items = list(client.items(page_size=6))
    assert [item.item_id for item in items] == sorted(item_id(n) for n in range(20))
    assert not any(item.thumbnail for item in items)
    assert list(client.items(page_size=7, thumbnails=True)) == [client.item(item.item_id) for item in items]
    few = list(client.items(FEW, page_size=2))
    assert [item.metadata["price"] for item in few] == [0, 1, 2, 3, 4]


def test_a_page_of_another_listing_is_refused(client: Client) -> None:
    stub = client._stubs["ListItems"]
    first = stub(catalog_pb2.ListItemsRequest(page_size=3))
    assert first.total_items == 20
    for request in (
        catalog_pb2.ListItemsRequest(page_token=first.next_page_token, thumbnails=True),
        catalog_pb2.ListItemsRequest(page_token=first.next_page_token, snapshot=first.snapshot),
    ):
        with pytest.raises(ServiceError) as raised:
            client._ask(Call("ListItems", request, repr))
        assert (raised.value.reason, raised.value.field) == ("PAGE_TOKEN_MISMATCH", "page_token")
    result = client.search(item_id=item_id(1), page_size=2)
    with pytest.raises(ServiceError) as raised:
        client._ask(Call("ListItems", catalog_pb2.ListItemsRequest(page_token=result.next_page_token), repr))
    assert raised.value.reason == "PAGE_TOKEN_MISMATCH"


def test_one_hit_of_each_group(client: Client) -> None:
    result = client.search(item_id=item_id(2), group_by="brand", page_size=50)
    brands = [hit.metadata.get("brand") for hit in result.hits]
    assert brands.count("O'Brien") == 1 and brands.count(None) == 9
    assert result.total_groups == 10 and result.total_candidates == 19
    with pytest.raises(ServiceError) as raised:
        client.search(item_id=item_id(2), group_by="colour")
    assert (raised.value.reason, raised.value.field) == ("UNKNOWN_COLUMN", "group_by")
