"""Metrics as Prometheus gets them: over HTTP, of a real server."""

from __future__ import annotations

import ast
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipelines.errors import DuetError
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, search_pb2, search_pb2_grpc
from pipelines.serve.client import Client
from pipelines.serve.error_reasons import OTHER, REASONS, bounded
from pipelines.serve.errors import ServiceError
from pipelines.serve.security.credentials import Credentials
from tests.conftest import ROOT

from .abuse import invalid, outcome_of
from .guarded import TOKENS, tokens_file
from .shop import Running, Shop, item_id, make_checkpoint, make_shop, picture, serving
from .watchers import Broken, Ended, Hold, Scrape, until


@pytest.fixture(scope="module")
def metered(shop: Shop) -> Iterator[Running]:
    with serving(shop, metrics_port=0) as running:
        with Client(running.target) as client:
            client.published()  # loaded
        yield running


@pytest.fixture(scope="module")
def channel(metered: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(metered.target) as one:
        yield one


def ask(channel: grpc.Channel, method: str, request: Any, timeout: float = 20) -> grpc.StatusCode:
    stub: Any = search_pb2_grpc.SearchServiceStub(channel)
    if not hasattr(stub, method):
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
    try:
        getattr(stub, method)(request, timeout=timeout)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


CONDITION = search_pb2.AttributeCondition


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason"),
    [
        ("Search", search_pb2.SearchRequest(item_id=item_id(1)), "OK", None),
        ("Search", search_pb2.SearchRequest(item_id="none such"), "NOT_FOUND", "ITEM_NOT_FOUND"),
        ("Search", search_pb2.SearchRequest(), "INVALID_ARGUMENT", "QUERY_REQUIRED"),
        ("Search", search_pb2.SearchRequest(image=b"GIF89a"), "INVALID_ARGUMENT", "IMAGE_UNSUPPORTED_FORMAT"),
        ("Search", search_pb2.SearchRequest(page_token="?"), "INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"),
        ("Embed", search_pb2.EmbedRequest(image=b""), "INVALID_ARGUMENT", "IMAGE_EMPTY"),
        ("Embed", search_pb2.EmbedRequest(snapshot="snapshots/s9"), "NOT_FOUND", "SNAPSHOT_NOT_FOUND"),
        ("GetItem", catalog_pb2.GetItemRequest(name="x"), "INVALID_ARGUMENT", "NAME_INVALID"),
        ("GetTaxonomy", catalog_pb2.GetTaxonomyRequest(), "OK", None),
    ],
)
def test_requests_are_counted_by_code_and_reason(
    metered: Running, channel: grpc.Channel, method: str, request_: Any, code: str, reason: str | None
) -> None:
    before = Scrape(metered)
    assert ask(channel, method, request_).name == code
    counted = {"method": method, "code": code}
    until(lambda: Scrape(metered)("duet_requests_total", **counted) > before("duet_requests_total", **counted))
    after = Scrape(metered)

    def more(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    assert more("duet_requests_total", **counted) == 1
    assert more("duet_request_duration_seconds_count", method=method) == 1
    assert 0 < more("duet_request_duration_seconds_sum", method=method) < 20
    if reason is None:
        assert after.labels("duet_errors_total") == before.labels("duet_errors_total")
    else:
        assert more("duet_errors_total", method=method, reason=reason) == 1


def test_failed_searches_of_a_batch_are_counted_by_reason(metered: Running, channel: grpc.Channel) -> None:
    before, asked = Scrape(metered), ({"item_id": "none such"}, {"item_id": item_id(1)}, {}, {"item_id": "none such"})
    requests = [search_pb2.BatchSearchRequest(search=search_pb2.SearchRequest(**fields)) for fields in asked]
    answers = search_pb2_grpc.SearchServiceStub(channel).BatchSearch(iter(requests), timeout=30)
    assert [one.error.reason for one in answers] == ["ITEM_NOT_FOUND", "", "QUERY_REQUIRED", "ITEM_NOT_FOUND"]
    done = {"method": "BatchSearch", "code": "OK"}
    until(lambda: Scrape(metered)("duet_requests_total", **done) == before("duet_requests_total", **done) + 1)
    after = Scrape(metered)
    for reason, count in {"ITEM_NOT_FOUND": 2, "QUERY_REQUIRED": 1}.items():
        for method, more in {"BatchSearch": count, "Search": 0}.items():
            counted = {"method": method, "reason": reason}
            assert after("duet_errors_total", **counted) == before("duet_errors_total", **counted) + more


def test_who_is_not_let_in_is_counted_by_reason(shop: Shop, tmp_path: Path) -> None:
    with serving(shop, metrics_port=0, tokens=tokens_file(tmp_path)) as running:
        tokens = {"": "TOKEN_MISSING", "x" * 40: "TOKEN_UNKNOWN", TOKENS["writer"][0]: "SCOPE_MISSING"}
        for token, reason in tokens.items():
            with Client(running.target, credentials=Credentials(token=token)) as client:
                with pytest.raises(ServiceError) as raised:
                    client.published()
                assert raised.value.reason == reason
            counted = {"method": "GetSnapshot", "reason": reason}
            until(lambda labels=counted: Scrape(running)("duet_errors_total", **labels) == 1)  # type: ignore[misc]


def test_the_stages_of_a_search_are_timed(metered: Running) -> None:
    before = Scrape(metered)
    with Client(metered.target) as client:
        timings = client.search(image=picture(3)).timings
    after = Scrape(metered)
    name = "duet_search_stage_duration_seconds"
    for stage, seconds in timings.items():
        assert after(f"{name}_count", stage=stage) - before(f"{name}_count", stage=stage) == 1
        assert after(f"{name}_sum", stage=stage) - before(f"{name}_sum", stage=stage) == pytest.approx(
            seconds, abs=1e-6
        )
    assert {one["stage"] for one in after.labels(f"{name}_count")} == set(timings)
    answer = {"answer": "exact"}
    assert after("duet_searches_total", **answer) - before("duet_searches_total", **answer) == 1


def test_the_encoders_batches_are_measured(metered: Running, channel: grpc.Channel) -> None:
    before, asked = Scrape(metered), 12
    with ThreadPoolExecutor(asked) as pool:
        codes = list(
            pool.map(lambda seed: ask(channel, "Embed", search_pb2.EmbedRequest(image=picture(seed))), range(100, 112))
        )
    after = Scrape(metered)
    name = "duet_encoder_batch_pictures"
    assert set(codes) == {grpc.StatusCode.OK}
    assert after(f"{name}_sum") - before(f"{name}_sum") == asked
    batches = after(f"{name}_count") - before(f"{name}_count")
    assert 1 <= batches <= asked
    assert (
        after("duet_encoder_batch_duration_seconds_count") - before("duet_encoder_batch_duration_seconds_count")
        == batches
    )


def test_the_queue_is_seen_and_gone_callers_are_told_apart(shop: Shop) -> None:
    hold, ended = Hold(), Ended()
    with (
        serving(shop, observers=[hold, ended], metrics_port=0, threads=1, waiting=2) as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        with Client(running.target) as client:
            client.published()
        embed = search_pb2_grpc.SearchServiceStub(channel).Embed
        calls = [embed.future(search_pb2.EmbedRequest(image=picture(seed))) for seed in range(3)]
        until(lambda: Scrape(running)("duet_requests_waiting") == 2)
        now = Scrape(running)
        assert (now("duet_requests_running"), now("duet_requests_limit")) == (1, 3)
        assert ask(channel, "Embed", search_pb2.EmbedRequest()) is grpc.StatusCode.RESOURCE_EXHAUSTED
        calls[2].cancel()
        until(lambda: any(call.reason == "CANCELLED" for call in ended.calls))
        hold.go_on.set()
        assert [len(call.result(20).attributes) for call in calls[:2]] == [3, 3]
        until(lambda: Scrape(running)("duet_requests_running") == 0)
        hold.go_on.clear()
        assert (
            ask(channel, "Embed", search_pb2.EmbedRequest(image=picture(3)), 0.3) is grpc.StatusCode.DEADLINE_EXCEEDED
        )
        until(lambda: any(call.reason == "DEADLINE_EXCEEDED" for call in ended.calls))
        hold.go_on.set()
        until(lambda: Scrape(running)("duet_errors_total", method="Embed", reason="OVERLOADED") == 1)
        now = Scrape(running)
        counted = {
            one["code"]: now("duet_requests_total", **one)
            for one in now.labels("duet_requests_total")
            if one["method"] == "Embed"
        }
        assert counted == {"OK": 2, "RESOURCE_EXHAUSTED": 1, "CANCELLED": 1, "DEADLINE_EXCEEDED": 1}


def test_changes_under_way_are_seen(metered: Running, channel: grpc.Channel) -> None:
    ended = threading.Event()

    def silent() -> Iterator[catalog_pb2.UpsertItemsRequest]:
        ended.wait(30)
        yield from ()

    call = catalog_pb2_grpc.CatalogServiceStub(channel).UpsertItems.future(silent())
    until(lambda: Scrape(metered)("duet_changes_under_way") == 1)
    assert Scrape(metered)("duet_changes_limit") == 65
    ended.set()
    assert outcome_of(call.exception(30)) == invalid("ITEMS_REQUIRED")
    until(lambda: Scrape(metered)("duet_changes_under_way") == 0)


def test_snapshots_are_followed(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 0, like=shop)
    with serving(own, metrics_port=0) as running:
        now = Scrape(running)
        assert now("duet_serving") == 0 and not now.labels("duet_snapshot_age_seconds")
        own.stock(range(3))
        until(lambda: Scrape(running)("duet_serving") == 1)
        now = Scrape(running)
        assert now("duet_snapshot_items") == 3 and 0 < now("duet_snapshot_age_seconds") < 30
        own.stock([7])
        until(lambda: Scrape(running)("duet_snapshot_items") == 4)
        now = Scrape(running)
        assert now("duet_snapshot_switches_total") == 2 and now("duet_snapshot_switch_failures_total") == 0
        broken = Shop(own.index, make_checkpoint(tmp_path / "broken", 2), tmp_path / "broken")
        shutil.rmtree(tmp_path / "broken")
        broken.stock([0, 1, 2, 7])
        until(lambda: Scrape(running)("duet_snapshot_switch_failures_total") > 0)
        now = Scrape(running)
        assert now("duet_snapshot_switches_total") == 2 and now("duet_snapshot_items") == 4


def test_memory_is_seen(metered: Running) -> None:
    with Client(metered.target) as client:
        client.search(item_id=item_id(2))
    now = Scrape(metered)
    assert 0 < now("duet_cache_bytes") < now("duet_cache_limit_bytes") == 2 * 1024**3
    assert now("process_resident_memory_bytes") > 0


def test_health_is_not_counted_and_methods_are_named_as_they_are_called(
    metered: Running, channel: grpc.Channel
) -> None:
    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/duet.v1.SearchService/Nothing")(b"")
    names = {one["method"] for one in Scrape(metered).labels("duet_requests_total")}
    assert names <= {"Search", "BatchSearch", "Embed", "GetItem", "GetTaxonomy", "GetSnapshot", "UpsertItems"}
    services = (search_pb2, "SearchService"), (catalog_pb2, "CatalogService")
    methods = [one.name for module, name in services for one in module.DESCRIPTOR.services_by_name[name].methods]
    assert len(methods) == len(set(methods)), "metrics name a method without its service"


def test_servers_of_one_process_count_for_themselves(metered: Running, shop: Shop) -> None:
    with serving(shop, metrics_port=0) as other:
        assert other.server.metrics_port != metered.server.metrics_port
        before = Scrape(metered).labels("duet_requests_total")
        with Client(other.target) as client:
            client.taxonomy()
        assert Scrape(metered).labels("duet_requests_total") == before
        assert {one["method"] for one in Scrape(other).labels("duet_requests_total")} == {"GetTaxonomy"}


def test_nothing_is_shown_unless_it_is_asked_for(running: Running) -> None:
    assert running.server.metrics_port is None


def test_an_address_that_cannot_be_used_is_said_to_be(metered: Running, shop: Shop) -> None:
    port = metered.server.metrics_port
    with (
        pytest.raises(DuetError, match=f"metrics cannot be shown at 127.0.0.1:{port}"),
        serving(shop, metrics_port=port),
    ):
        pass


def test_an_observer_that_fails_fails_nothing(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    ended = Ended()
    with serving(shop, observers=[Broken(), ended]) as running, Client(running.target) as client:
        assert len(client.search(image=picture(1)).hits) == 10
        assert len(client.search(image=picture(2)).hits) == 10
        until(lambda: len([call for call in ended.calls if call.name == "Search"]) >= 2)
    assert [record.message for record in caplog.records if record.name == "duet.observing"] == [
        "Broken failed; its further failures are not logged"
    ]


def raised() -> set[str]:
    """The reasons in the source of what the server runs: whatever stands first, or second, where an error is made."""
    found = set()
    files = [path for folder in ("search", "serve") for path in (ROOT / "pipelines" / folder).rglob("*.py")]
    for path in [*files, ROOT / "pipelines/data/images.py"]:
        if path.name in ("filter_text.py", "wishes.py"):  # of the command line
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            place = {"RequestError": 0, "lookup": 0, "ImageError": 0, "_status": 1}.get(node.func.id)
            reason = None if place is None else node.args[place]
            if isinstance(reason, ast.Constant) and isinstance(reason.value, str):
                before = "IMAGE_" if node.func.id == "ImageError" else ""
                found.add(before + reason.value)
    return found


def test_every_reason_has_a_label_of_its_own() -> None:
    assert raised() == REASONS
    assert (bounded("STOPPED"), bounded("something new")) == ("STOPPED", OTHER)
