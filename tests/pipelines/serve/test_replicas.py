"""The contract again, answered by two replicas on Ray Serve; and what only replicas can do, which is to die."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import lance
import pytest
import ray
from ray import serve
from ray.util import list_named_actors

from pipelines.rpc.duet.v1 import catalog_pb2
from pipelines.search.request import SearchRequest
from pipelines.search.result import Hit, SearchResult
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError
from pipelines.serve.replicas import _is_ready
from pipelines.serve.settings import ServeSettings

from .conftest import NORMAL
from .shop import Running, Shop, item_id, make_shop, picture, serving

# The contract's own tests, run here with the fixtures below.
from .test_abuse import (  # noqa: F401
    test_a_method_that_is_not_there,
    test_of_a_oneof_the_last_member_counts,
    test_sizes_numbers_and_enums,
    test_sizes_of_pages,
    test_unknown_fields_are_passed_over,
)
from .test_abuse_images import test_a_picture_beyond_the_message_is_refused_by_grpc, test_refused  # noqa: F401
from .test_abuse_texts import test_odd_texts_are_data_everywhere, test_odd_texts_change_nothing  # noqa: F401
from .test_abuse_tokens import (  # noqa: F401
    test_edited_and_truncated_tokens,
    test_forged_tokens,
    test_tokens_of_something_else,
)
from .test_async_client import test_both_get_the_same_answers  # noqa: F401
from .test_batch import (  # noqa: F401
    test_a_bad_request_fails_itself_only,
    test_a_client_may_wait_for_each_answer_before_it_asks_on,
    test_answers_are_those_of_single_searches_in_their_order,
)
from .test_explain import (  # noqa: F401
    test_a_page_of_another_listing_is_refused,
    test_every_hit_is_explained_as_it_was_ranked,
    test_items_are_listed_by_id_over_pages,
    test_one_hit_of_each_group,
    test_the_encoders_attention_is_drawn,
    test_what_a_manipulation_did,
    test_what_cannot_be_explained,
)
from .test_lifecycle import SERVING, health, start
from .test_metrics import test_failed_searches_of_a_batch_are_counted_by_reason  # noqa: F401
from .test_pictures import test_a_picture_by_its_location, test_no_picture_outside_the_roots  # noqa: F401
from .test_server import (  # noqa: F401
    engine,
    stubs,
    test_answers_are_the_engines,
    test_embed_is_the_encoders_duet,
    test_errors_have_one_code_one_reason_and_the_field,
    test_long_messages_fit_into_a_status,
    test_pages_are_the_parts_of_the_whole,
    test_reflection_and_health,
    test_the_catalogue_says_what_it_has,
)
from .test_unreadable import (  # noqa: F401
    test_damaged_bytes_are_refused_by_every_method,
    test_what_protobuf_does_not_take_is_refused,
    test_what_protobuf_takes_is_the_filters_to_judge,
)
from .test_writes import (  # noqa: F401
    test_a_call_that_comes_again_changes_nothing,
    test_a_picture_that_cannot_be_used_is_refused_alone,
    test_a_request_id_of_another_method_is_refused,
    test_an_earlier_snapshot_is_served_again,
    test_ids_are_kept_in_nfc,
    test_searches_go_on_while_items_change,
    test_what_has_not_changed_is_told,
    test_what_is_put_in_is_in_the_next_answer,
    test_what_is_taken_out_is_not_in_the_next_answer,
)
from .watchers import Scrape, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Twenty items, published once."""
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def running(shop: Shop, pictures: Path, ray_session: None) -> Iterator[Running]:
    """Two replicas, which find a new snapshot only when they are told of a change."""
    settings: dict[str, Any] = {
        "ray": True,
        "replicas": 2,
        "replica_cpus": 0.5,
        "poll_seconds": 1000,
        "metrics_port": 0,
    }
    with serving(shop, roots=[str(pictures / "root")], **settings) as server:
        yield server


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[Client]:
    until(lambda: running.server.ready, 120)
    with Client(running.target) as one:
        yield one


@pytest.fixture(scope="module")
def channel(running: Running, client: Client) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running.target, options=[("grpc.max_send_message_length", -1)]) as one:
        yield one


@pytest.fixture(scope="module")
def metered(running: Running) -> Running:
    return running


@pytest.fixture(scope="module")
def normal_hits(client: Client) -> tuple[Hit, ...]:
    return client.search(NORMAL).hits


@pytest.fixture
def own(shop: Shop, client: Client, running: Running) -> Iterator[tuple[Shop, Client, Running]]:
    """The first eight items of the shop for one test; afterwards it is as it was."""
    whole = client.published()
    client.delete([item_id(n) for n in range(8, 20)])
    timeout = client.timeout
    yield shop, client, running
    client.timeout = timeout
    client.publish(whole)


SETTINGS = ServeSettings(index="the defaults")
REQUEST = SearchRequest(item_id=item_id(1), page_size=2)


def processes(deployment: str) -> set[int]:
    """Process ids of the living replicas."""
    found: set[int] = set()
    for one in list_named_actors(all_namespaces=True):
        if one["name"].startswith("SERVE_REPLICA") and f"#{deployment}#" in one["name"]:
            actor = ray.get_actor(one["name"], one["namespace"])
            pid: Any = actor.__ray_call__.remote(lambda _: os.getpid())  # Ray types it as a list
            found.add(ray.get(pid, timeout=20))
    return found


def test_a_change_whose_replica_dies_is_told(own: tuple[Shop, Client, Running]) -> None:
    mine, client, _ = own
    (writer,) = processes("changes")
    items = [catalog_pb2.UpsertItem(item_id=f"new {n}", image=picture(60 + n)) for n in range(12)]

    def writes() -> bool:
        (row,) = lance.dataset(f"{mine.index.uri}/lease.lance").to_table().to_pylist()
        return bool(row["token"]) and row["pid"] == writer

    with ThreadPoolExecutor(1) as pool:
        change = pool.submit(client.upsert, items, "lost")
        until(writes)
        os.kill(writer, signal.SIGKILL)
        error = change.exception(60)
    assert isinstance(error, ServiceError)
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "REPLICA_LOST")
    client.timeout = 60  # until there is another one
    done = client.upsert(items, "lost")
    assert done.changed_count + done.unchanged_count == 12
    assert client.search(image=picture(60), page_size=1).hits[0].item_id == "new 0"


class Mortal:
    """Dies when it is first asked."""

    def __init__(self, grave: Path) -> None:
        self._grave = grave

    async def ready(self) -> bool:
        if not self._grave.exists():
            self._grave.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return True


def test_a_replica_that_dies_before_it_is_ready_is_asked_again(tmp_path: Path, ray_session: None) -> None:
    serve.start(proxy_location="Disabled")
    bound = serve.deployment(Mortal).options(ray_actor_options={"num_cpus": 0}).bind(tmp_path / "grave")
    handle = serve.run(bound, name="mortal", route_prefix=None)
    try:
        assert not asyncio.run(_is_ready(handle))
        assert asyncio.run(_is_ready(handle))
    finally:
        serve.delete("mortal")


def test_metrics_are_of_each_replica(running: Running, client: Client) -> None:
    def of_all() -> Scrape:
        until(lambda: len(Scrape(running).labels("duet_serving")) == 3, 60)  # one that is busy is left out
        return Scrape(running)

    before, searches = of_all(), 24
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.search(REQUEST), range(searches)))
    after = of_all()
    names = [one["replica"] for one in after.labels("duet_serving")]
    assert {name.rpartition("-")[0] for name in names} == {"replica", "changes"} and len(set(names)) == 3
    assert all(after("process_resident_memory_bytes", replica=name) > 2**26 for name in names)
    assert after("process_resident_memory_bytes", replica="") > 2**26
    assert after("duet_requests_limit", replica="") == 2 * SETTINGS.threads + SETTINGS.waiting
    assert after("duet_requests_waiting", replica="") == 0
    assert after("duet_changes_limit", replica="") == 1 + SETTINGS.waiting
    assert [one["replica"] for one in after.labels("duet_changes_under_way")] == [""]
    more = {
        name: after("duet_searches_total", answer="exact", replica=name)
        - before("duet_searches_total", answer="exact", replica=name)
        for name in names
    }
    assert sum(more.values()) == searches and sum(bool(number) for number in more.values()) == 2, more
    for name, number in more.items():
        timed = {"stage": "rank", "replica": name}
        count = "duet_search_stage_duration_seconds_count"
        assert after(count, **timed) - before(count, **timed) == number
    counted = {"method": "Search", "code": "OK"}
    assert after("duet_requests_total", **counted) - before("duet_requests_total", **counted) == searches
    families = [family.name for family in after.families]
    assert len(families) == len(set(families)), "Prometheus takes each family once"


def test_pages_go_on_when_the_replica_that_began_them_has_died(client: Client) -> None:
    whole = client.search(REQUEST, page_size=20).hits
    both = processes("replica")
    assert len(both) == 2
    with ThreadPoolExecutor(8) as pool:
        readers = [client.pages(REQUEST) for _ in range(16)]
        begun = list(pool.map(next, readers))  # by both: of sixteen each draws a replica
        os.kill(min(both), signal.SIGKILL)
        rest: list[list[SearchResult]] = list(pool.map(list, readers))
    for first, others in zip(begun, rest, strict=True):
        assert tuple(hit for page in (first, *others) for hit in page.hits) == whole


def test_the_process_puts_replicas_up_and_takes_them_down(shop: Shop, tmp_path: Path, ray_session: None) -> None:
    mine = make_shop(tmp_path, 3, like=shop)
    before = set(serve.status().applications)
    address = ray.get_runtime_context().gcs_address
    options = ["--index", mine.index.uri, "--ray", "--replica-cpus", "0.5", "--poll-seconds", "0.1"]
    process = start(*options, RAY_ADDRESS=address)
    assert process.stdout is not None
    target = process.stdout.readline().strip().removeprefix("listening at ")
    with Client(target, timeout=120) as client:
        until(lambda: health(target) == SERVING, 120)
        assert len(client.search(image=picture(1)).hits) == 3
        mine.stock(range(5))
        until(lambda: len(client.search(image=picture(1)).hits) == 5)  # found without being told
    assert len(set(serve.status().applications) - before) == 2
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and output == "draining\n" and "Traceback" not in errors
    assert set(serve.status().applications) == before


def test_replicas_come_with_requests(shop: Shop, tmp_path: Path, ray_session: None) -> None:
    mine, enough, answered = make_shop(tmp_path, 3, like=shop), threading.Event(), list[int]()
    settings: dict[str, Any] = {"ray": True, "replicas": 1, "max_replicas": 2, "replica_cpus": 0.25, "threads": 2}
    with serving(mine, **settings, metrics_port=0) as server, ThreadPoolExecutor(6) as pool:
        until(lambda: server.server.ready, 120)

        def that_answer() -> int:
            return len({one["replica"] for one in Scrape(server).labels("duet_searches_total")})

        def search() -> None:
            with Client(server.target) as client:
                while not enough.is_set():
                    answered.append(len(client.search(REQUEST).hits))

        asking = [pool.submit(search) for _ in range(6)]  # a replica is to work on one at a time, half of its threads
        try:
            until(lambda: that_answer() == 1, 120)
            until(lambda: that_answer() == 2, 120)
        finally:
            enough.set()
        for one in asking:
            one.result(60)
    assert answered and set(answered) == {2}


def test_what_no_replica_could_serve_is_said_in_one_line(shop: Shop, tmp_path: Path, ray_session: None) -> None:
    address = ray.get_runtime_context().gcs_address
    options = ["--index", shop.index.uri, "--ray", "--checkpoint", str(tmp_path)]
    _, errors = start(*options, RAY_ADDRESS=address).communicate(timeout=60)
    assert "is no checkpoint" in errors.splitlines()[-1] and "Traceback" not in errors
