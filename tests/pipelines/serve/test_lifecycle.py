"""Loading, following, draining, refusing: with real servers, and one in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, search_pb2, search_pb2_grpc
from pipelines.search.request import SearchRequest
from pipelines.search.result import SearchResult
from pipelines.serve.client import Client
from pipelines.serve.engines import Engines
from pipelines.serve.errors import ServiceError
from tests.conftest import ROOT

from .shop import Shop, item_id, make_checkpoint, make_shop, picture, serving
from .watchers import Hold

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def health(target: str) -> int:
    with grpc.insecure_channel(target) as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10).status


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_before_the_first_snapshot_it_is_not_serving_and_then_it_is(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 0, like=shop)
    with serving(own) as running:
        assert health(running.target) == NOT_SERVING
        with grpc.insecure_channel(running.target) as channel, pytest.raises(grpc.RpcError) as caught:
            search_pb2_grpc.SearchServiceStub(channel).Search(search_pb2.SearchRequest(item_id="a"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        found = []
        with Client(running.target) as client:
            thread = threading.Thread(target=lambda: found.append(client.search(image=picture(1))))
            thread.start()  # asks, is told UNAVAILABLE, and asks again until there is a snapshot
            own.stock(range(3))
            thread.join(20)
        assert len(found[0].hits) == 3
        assert health(running.target) == SERVING


def test_it_is_serving_also_when_a_change_found_the_first_snapshot(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    refresh = Engines.refresh

    def after_a_change(engines: Engines) -> bool:
        refresh(engines)  # as a change does
        return refresh(engines)

    monkeypatch.setattr(Engines, "refresh", after_a_change)
    with serving(shop) as running:
        until(lambda: health(running.target) == SERVING)


def test_new_snapshots_are_followed_and_old_pages_go_on(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 8, like=shop)
    with serving(own) as running, Client(running.target) as client:
        first = client.published()
        request = SearchRequest(image=picture(1), page_size=3)
        page = client.search(request)
        later = own.stock(range(100, 104), deleted=[item_id(2)])
        until(lambda: client.published() == later.snapshot_id)
        assert {client.search(image=picture(1)).total_candidates} == {11}
        rest = list(client.pages(replace(request, page_token=page.next_page_token)))
        assert {one.snapshot_id for one in rest} == {first}
        assert [hit.rank for one in rest for hit in one.hits] == [4, 5, 6, 7, 8]
        assert client.search(replace(request, snapshot=first)).total_candidates == 8
        assert client.item(item_id(2), snapshot=first).item_id == item_id(2)
        with pytest.raises(ServiceError, match="no item"):
            client.item(item_id(2))


def test_a_snapshot_that_is_gone_is_expired(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 4, like=shop)
    with serving(own) as running, Client(running.target) as client:
        request = SearchRequest(image=picture(1), page_size=2)
        token = client.search(request).next_page_token
        for seed in (10, 11, 12, 13):  # push the first snapshot's engine out
            later = own.stock([seed])
            until(lambda snapshot=later: client.published() == snapshot.snapshot_id)  # type: ignore[misc]
        first = own.index.snapshots()[0]
        version_file(own.index.table_uri("items", first.generation), first.versions["items"]).unlink()
        with pytest.raises(ServiceError) as caught:
            client.search(replace(request, page_token=token))
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SNAPSHOT_EXPIRED")
        assert caught.value.field == "page_token" and str(tmp_path) not in str(caught.value)


def version_file(table: str, version: int) -> Path:
    """What a cleanup of old versions removes first; its name counts down, so that the latest is listed first."""
    return Path(table, "_versions", f"{2**64 - 1 - version:020d}.manifest")


def test_snapshots_are_listed_newest_first_by_pages(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 2, like=shop)
    ids = [own.index.snapshots()[0].snapshot_id, *(own.stock([seed]).snapshot_id for seed in (5, 6))]
    with serving(own) as running, grpc.insecure_channel(running.target) as channel:
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        with Client(running.target) as client:
            client.published()  # loaded
        first = stub.ListSnapshots(catalog_pb2.ListSnapshotsRequest(page_size=2))
        added = own.stock([7]).snapshot_id
        rest = stub.ListSnapshots(catalog_pb2.ListSnapshotsRequest(page_token=first.next_page_token))
        assert [one.name for one in first.snapshots] == [f"snapshots/{one}" for one in ids[:0:-1]]
        assert [one.name for one in rest.snapshots] == [f"snapshots/{ids[0]}"] and not rest.next_page_token
        assert [one.item_count for one in [*first.snapshots, *rest.snapshots]] == [4, 3, 2]
        newest = stub.ListSnapshots(catalog_pb2.ListSnapshotsRequest(page_size=1))
        assert newest.snapshots[0].name == f"snapshots/{added}"


def test_a_new_encoders_snapshot_is_followed_and_a_broken_one_is_not(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 3, like=shop)
    other = Shop(own.index, make_checkpoint(tmp_path / "other", 1), tmp_path / "other")
    with serving(own) as running, Client(running.target) as client:
        assert client.search(image=picture(1)).model == own.checkpoint.digest
        later = other.stock(range(5))
        until(lambda: client.published() == later.snapshot_id)
        result = client.search(image=picture(1))
        assert (result.model, result.total_candidates) == (other.checkpoint.digest, 5)
        broken = Shop(own.index, make_checkpoint(tmp_path / "broken", 2), tmp_path / "broken")
        shutil.rmtree(tmp_path / "broken")
        broken.stock(range(5))
        time.sleep(0.5)
        assert client.search(image=picture(1)).snapshot_id == later.snapshot_id and health(running.target) == SERVING


def test_draining_finishes_what_runs_and_refuses_what_comes(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 3, like=shop)
    with serving(own, threads=1) as running, Client(running.target) as client:
        client.published()
        answers: list[SearchResult] = []
        threads = [threading.Thread(target=lambda: answers.append(client.search(image=picture(9)))) for _ in range(12)]
        for thread in threads:
            thread.start()
        until(lambda: running.under_way + len(answers) == 12)
        running.stop()
        for thread in threads:
            thread.join(20)
        assert len(answers) == 12
        with Client(running.target, timeout=2) as late, pytest.raises(ServiceError) as caught:
            late.search(image=picture(9))
        assert caught.value.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_while_it_drains_it_is_not_serving_and_what_runs_ends_well(shop: Shop) -> None:
    hold = Hold()
    with (
        serving(shop, observers=[hold], drain_seconds=20) as running,
        Client(running.target) as client,
        grpc.insecure_channel(running.target) as channel,
    ):
        client.published()
        names = ("", "duet.v1.SearchService", "duet.v1.CatalogService")
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name), timeout=30) for name in names]
        assert [next(watch).status for watch in watches] == [SERVING] * 3
        search = search_pb2_grpc.SearchServiceStub(channel).Search.future(search_pb2.SearchRequest(image=picture(99)))
        until(lambda: running.under_way == 1)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        assert [next(watch).status for watch in watches] == [NOT_SERVING] * 3
        assert not search.done() and stopping.is_alive()
        hold.go_on.set()
        assert len(search.result(20).hits) == 10
        stopping.join(10)
        assert not stopping.is_alive() and [list(watch) for watch in watches] == [[]] * 3


def test_more_than_may_wait_is_refused_with_a_time_to_retry(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 3, like=shop)
    with serving(own, threads=1, waiting=0) as running, grpc.insecure_channel(running.target) as channel:
        with Client(running.target) as client:
            client.published()
        stub = search_pb2_grpc.SearchServiceStub(channel)
        calls = [stub.Search.future(search_pb2.SearchRequest(image=picture(seed))) for seed in range(24)]
        refused = [call.exception() for call in calls if call.exception() is not None]
        assert 0 < len(refused) < 24
        for error in refused:
            status = rpc_status.from_call(error)
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert status.details[0].Unpack(info) and info.reason == "OVERLOADED"
            assert status.details[1].Unpack(retry) and retry.retry_delay.seconds == 1


def test_what_was_not_foreseen_is_internal_and_tells_nothing(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = make_shop(tmp_path, 3, like=shop)
    with serving(own) as running, Client(running.target) as client:
        client.published()
        for folder in Path(own.index.uri).iterdir():
            shutil.rmtree(folder / "data", ignore_errors=True)
        with pytest.raises(ServiceError) as caught:
            client.search(image=picture(1))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert str(tmp_path) not in str(caught.value)
    assert any("Search failed" in record.message and record.exc_info for record in caplog.records)


def test_a_port_that_is_taken_is_said_to_be(running_port: int, shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 0, like=shop)
    with pytest.raises(ValueError, match=f"port {running_port} cannot be used"), serving(own, port=running_port):
        pass


@pytest.fixture
def running_port(running: object) -> int:
    return running.port  # type: ignore[attr-defined, no-any-return]


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pipelines.serve", "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd="/"
    )


@pytest.mark.slow
def test_the_process_serves_until_sigterm(shop: Shop) -> None:
    process = start("--index", shop.index.uri)
    assert process.stdout is not None
    port = process.stdout.readline().strip().removeprefix("listening at 127.0.0.1:")
    with Client(f"127.0.0.1:{port}") as client:
        assert len(client.search(image=picture(1)).hits) == 10
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and output == "draining\n" and "Traceback" not in errors


@pytest.mark.slow
def test_the_process_drains_though_nobody_reads_what_it_prints(shop: Shop) -> None:
    process = start("--index", shop.index.uri)
    assert process.stdout is not None and process.stderr is not None
    port = process.stdout.readline().strip().removeprefix("listening at 127.0.0.1:")
    process.stdout.close()
    with Client(f"127.0.0.1:{port}") as client:
        assert len(client.search(image=picture(1)).hits) == 10
    process.send_signal(signal.SIGTERM)
    with process.stderr:
        errors = process.stderr.read()
    assert process.wait(60) == 0 and "Traceback" not in errors and "BrokenPipe" not in errors


@pytest.mark.slow
def test_the_process_says_what_is_wrong_in_one_line(shop: Shop, tmp_path: Path) -> None:
    no_index = start("--index", str(tmp_path))
    no_checkpoint = start("--index", shop.index.uri, "--checkpoint", str(tmp_path))
    for process, message in ((no_index, "there is no index at"), (no_checkpoint, "is no checkpoint")):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert message in errors.splitlines()[-1] and "Traceback" not in errors
