"""The service over a real connection."""

from __future__ import annotations

import threading
import unicodedata
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from model.manipulation import Operation
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, filter_pb2, search_pb2, search_pb2_grpc
from pipelines.search.engine import Engine
from pipelines.search.filters import Comparison, Operator
from pipelines.search.limits import Limits
from pipelines.search.query import CheckpointEncoder
from pipelines.search.request import AttributeCondition, Manipulation, SearchRequest
from pipelines.serve import search_servicer
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError
from pipelines.serve.search_messages import read_request
from tests.pipelines.search.world import TAXONOMY

from .shop import Running, Shop, item_id, picture, serving


@pytest.fixture(scope="module")
def engine(shop: Shop) -> Engine:
    snapshot = shop.index.latest()
    assert snapshot is not None
    return Engine(shop.index.reader(snapshot), shop.checkpoint)


@pytest.fixture(scope="module")
def stubs(running: Running) -> Any:
    with grpc.insecure_channel(running.target) as channel:
        yield search_pb2_grpc.SearchServiceStub(channel), catalog_pb2_grpc.CatalogServiceStub(channel)


REQUESTS = {
    "picture": SearchRequest(image=picture(3), page_size=20),
    "item": SearchRequest(item_id=item_id(3), page_size=5),
    "conditions": SearchRequest(
        image=picture(50),
        attributes=(AttributeCondition("pattern", ("print", "tribal"), weight=2), AttributeCondition("collar")),
    ),
    "prototypes": SearchRequest(attributes=(AttributeCondition("colour", ("red",)),)),
    "manipulation": SearchRequest(
        item_id=item_id(4),
        manipulations=(
            Manipulation("colour", Operation.REPLACE, "red"),
            Manipulation("pattern", Operation.ADD, "floral"),
        ),
        filter=Comparison("price", Operator.LESS, 10),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_answers_are_the_engines(name: str, client: Client, engine: Engine) -> None:
    over_the_wire, expected = client.search(REQUESTS[name]), engine.search(REQUESTS[name])
    assert [(hit.item_id, hit.tier) for hit in over_the_wire.hits] == [(hit.item_id, hit.tier) for hit in expected.hits]
    for one, other in zip(over_the_wire.hits, expected.hits, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
        assert (one.rank, one.metadata, one.image_uri) == (other.rank, other.metadata, other.image_uri)
        assert [c.matched for c in one.contributions] == [c.matched for c in other.contributions]
        assert [(c.removed, c.added) for c in one.contributions] == [(c.removed, c.added) for c in other.contributions]
    assert over_the_wire.total_candidates == expected.total_candidates and over_the_wire.exact
    assert (over_the_wire.snapshot_id, over_the_wire.model) == (expected.snapshot_id, expected.model)
    assert list(over_the_wire.timings) == list(expected.timings)


def test_pages_are_the_parts_of_the_whole(client: Client) -> None:
    whole = client.search(item_id=item_id(1), page_size=1000)
    pages = list(client.pages(SearchRequest(item_id=item_id(1), page_size=6)))
    assert [len(page.hits) for page in pages] == [6, 6, 6, 1]
    assert tuple(hit for page in pages for hit in page.hits) == whole.hits
    assert item_id(1) not in {hit.item_id for hit in whole.hits}


def test_embed_is_the_encoders_duet(client: Client, shop: Shop) -> None:
    message = client.embed(picture(5))
    expected = CheckpointEncoder(shop.checkpoint, Limits()).encode(picture(5), ())
    assert [one.attribute for one in message.attributes] == list(TAXONOMY.names) and message.model == expected_model(
        shop
    )
    for n, one in enumerate(message.attributes):
        assert list(one.embedding) == pytest.approx(expected.attribute_embeddings[n].tolist(), abs=1e-5)
        for m, part in enumerate(one.classes, TAXONOMY.offsets[n]):
            assert part.probability == pytest.approx(expected.probabilities[m], abs=1e-5)
            assert part.predicted == expected.carried[m] == (len(part.embedding) > 0)
    assert sum(x * x for x in message.global_embedding) == pytest.approx(1, abs=1e-5)


def expected_model(shop: Shop) -> str:
    return shop.checkpoint.digest


def test_the_catalogue_says_what_it_has(client: Client, stubs: Any, shop: Shop) -> None:
    assert client.taxonomy() == TAXONOMY
    assert client.limits() == Limits()
    item = client.item(item_id(7))
    assert (item.item_id, item.metadata) == (item_id(7), {"brand": "O'Brien", "price": 7})
    assert item.thumbnail == picture(7, "JPEG") and item.labels == {"collar": ("polo",), "pattern": (), "colour": ()}
    assert [len(item.predictions[name]) >= 1 for name in TAXONOMY.names] == [True] * 3
    columns = stubs[1].GetTaxonomy(catalog_pb2.GetTaxonomyRequest()).metadata_columns
    assert {column.name: catalog_pb2.MetadataType.Name(column.type) for column in columns} == {
        "price": "METADATA_TYPE_INT",
        "weight": "METADATA_TYPE_DOUBLE",
        "brand": "METADATA_TYPE_STRING",
        "sale": "METADATA_TYPE_BOOL",
        "added": "METADATA_TYPE_TIMESTAMP",
    }
    snapshot = stubs[1].GetSnapshot(catalog_pb2.GetSnapshotRequest(name="snapshots/published")).snapshot
    assert (snapshot.name, snapshot.item_count) == (f"snapshots/{client.published()}", 20)
    assert snapshot.model == shop.checkpoint.digest


C, S = catalog_pb2, search_pb2
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason", "field"),
    [
        ("Search", S.SearchRequest(), INVALID, "QUERY_REQUIRED", ""),
        ("Search", S.SearchRequest(item_id="nobody"), NOT_FOUND, "ITEM_NOT_FOUND", "item_id"),
        ("Search", S.SearchRequest(item_id=""), INVALID, "ITEM_ID_INVALID", "item_id"),
        ("Search", S.SearchRequest(image=b""), INVALID, "IMAGE_EMPTY", "image"),
        ("Search", S.SearchRequest(image=b"GIF89a..."), INVALID, "IMAGE_UNSUPPORTED_FORMAT", "image"),
        ("Search", S.SearchRequest(image=picture(1)[:90]), INVALID, "IMAGE_TRUNCATED", "image"),
        ("Search", S.SearchRequest(item_id="a", page_size=-1), INVALID, "PAGE_SIZE_NEGATIVE", "page_size"),
        ("Search", S.SearchRequest(item_id="a", page_token="x"), INVALID, "PAGE_TOKEN_INVALID", "page_token"),
        ("Search", S.SearchRequest(item_id="a", snapshot="s1"), INVALID, "NAME_INVALID", "snapshot"),
        ("Search", S.SearchRequest(item_id="a", snapshot="snapshots/s1"), NOT_FOUND, "SNAPSHOT_NOT_FOUND", "snapshot"),
        (
            "Search",
            S.SearchRequest(attributes=[S.AttributeCondition(attribute="x")]),
            INVALID,
            "UNKNOWN_ATTRIBUTE",
            "attributes[0].attribute",
        ),
        (
            "Search",
            S.SearchRequest(item_id="a", attributes=[S.AttributeCondition(attribute="collar", match=9)]),
            INVALID,
            "ENUM_UNKNOWN",
            "attributes[0].match",
        ),
        (
            "Search",
            S.SearchRequest(item_id="a", attributes=[S.AttributeCondition(attribute="collar", weight=0)]),
            INVALID,
            "WEIGHT_INVALID",
            "attributes[0].weight",
        ),
        (
            "Search",
            S.SearchRequest(item_id="a", manipulations=[S.Manipulation(attribute="collar", operation=7)]),
            INVALID,
            "ENUM_UNKNOWN",
            "manipulations[0].operation",
        ),
        ("Search", S.SearchRequest(attributes=[{}] * 300_000), INVALID, "TOO_MANY", "attributes"),
        ("Search", S.SearchRequest(item_id="a", filter=filter_pb2.Filter()), INVALID, "FILTER_INVALID", "filter"),
        (
            "Search",
            S.SearchRequest(item_id="a", filter={"comparison": {"column": "price", "value": {"int_value": 1}}}),
            INVALID,
            "FILTER_INVALID",
            "filter.comparison.operator",
        ),
        (
            "Search",
            S.SearchRequest(item_id="a", filter={"comparison": {"column": "price", "operator": 3}}),
            INVALID,
            "VALUE_INVALID",
            "filter.comparison.value",
        ),
        ("Embed", S.EmbedRequest(), INVALID, "IMAGE_EMPTY", "image"),
        ("Embed", S.EmbedRequest(image=picture(1), snapshot="x"), INVALID, "NAME_INVALID", "snapshot"),
        ("GetItem", C.GetItemRequest(name="items/nobody"), NOT_FOUND, "ITEM_NOT_FOUND", "name"),
        ("GetItem", C.GetItemRequest(name="nobody"), INVALID, "NAME_INVALID", "name"),
        ("GetItem", C.GetItemRequest(name="items/"), INVALID, "NAME_INVALID", "name"),
        ("GetSnapshot", C.GetSnapshotRequest(), INVALID, "NAME_INVALID", "name"),
        ("GetSnapshot", C.GetSnapshotRequest(name="snapshots/x"), NOT_FOUND, "SNAPSHOT_NOT_FOUND", "name"),
        ("ListSnapshots", C.ListSnapshotsRequest(page_size=-1), INVALID, "PAGE_SIZE_NEGATIVE", "page_size"),
        ("ListSnapshots", C.ListSnapshotsRequest(page_token="x"), INVALID, "PAGE_TOKEN_INVALID", "page_token"),
    ],
)
def test_errors_have_one_code_one_reason_and_the_field(
    stubs: Any, method: str, request_: Any, code: grpc.StatusCode, reason: str, field: str
) -> None:
    stub = stubs[0] if hasattr(stubs[0], method) else stubs[1]
    with pytest.raises(grpc.RpcError) as caught:
        getattr(stub, method)(request_)
    assert caught.value.code() is code
    status = rpc_status.from_call(caught.value)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info) and (info.domain, info.reason) == ("duet", reason)
    assert len(status.details) == (2 if field else 1)
    if field:
        assert status.details[1].Unpack(bad) and [violation.field for violation in bad.field_violations] == [field]


@pytest.mark.parametrize("character", ["ü", "裙", "👗", "e\u0301裙"])
def test_long_messages_fit_into_a_status(client: Client, character: str) -> None:
    with pytest.raises(ServiceError) as caught:
        client.search(
            attributes=(AttributeCondition("collar"), AttributeCondition(character * (500 // len(character)))),
            item_id="a",
        )
    error = caught.value
    assert (error.code, error.reason, error.field) == (INVALID, "UNKNOWN_ATTRIBUTE", "attributes[1].attribute")
    message = str(error)
    assert message.startswith(f"unknown attribute '{unicodedata.normalize('NFC', character) * 50}")
    assert message.endswith("…") and 590 < len(message.encode()) <= 600


def test_a_request_is_expanded_off_the_event_loop(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def read(*arguments: Any) -> SearchRequest:
        threads.append(threading.current_thread().name)
        return read_request(*arguments)

    monkeypatch.setattr(search_servicer, "read_request", read)
    client.search(item_id=item_id(1))
    assert len(threads) == 1 and threads[0].startswith("search")


def test_a_picture_over_the_limit_is_refused(shop: Shop) -> None:
    with serving(shop, Limits(image_bytes=100)) as small, Client(small.target) as client:
        with pytest.raises(ServiceError) as caught:
            client.search(image=picture(1))
        assert caught.value.reason == "IMAGE_TOO_LARGE"
        with pytest.raises(ServiceError) as caught:
            client.search(image=b"x" * (2 * 1024**2))  # stopped by gRPC before it is read into a message
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_without_a_head_nothing_can_be_manipulated(tmp_path: Any) -> None:
    from .shop import make_shop

    shop = make_shop(tmp_path, 3, head=False)
    with serving(shop) as running, Client(running.target) as client:
        assert len(client.search(item_id=item_id(0)).hits) == 2
        with pytest.raises(ServiceError) as caught:
            client.search(item_id=item_id(0), manipulations=(Manipulation("colour", Operation.REPLACE, "red"),))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_GLOBAL_SPACE")
        assert not client.embed(picture(1)).global_embedding


def test_reflection_and_health(running: Running) -> None:
    with grpc.insecure_channel(running.target) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        (answer,) = stub.ServerReflectionInfo(iter([asked]))
        names = {service.name for service in answer.list_services_response.service}
        assert {"duet.v1.SearchService", "duet.v1.CatalogService", "grpc.health.v1.Health"} <= names
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "duet.v1.SearchService", "duet.v1.CatalogService"):
            status = health.Check(health_pb2.HealthCheckRequest(service=service)).status
            assert status == health_pb2.HealthCheckResponse.SERVING
