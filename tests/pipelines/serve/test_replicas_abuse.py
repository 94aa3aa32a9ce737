"""Abuse once more, of a server whose calls replicas on Ray Serve answer, behind TLS and tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.result import Hit
from pipelines.serve.client import Client
from pipelines.serve.replicas import Replicas
from pipelines.serve.security.credentials import Credentials

from .abuse import OK, Outcome, call, outcome
from .certificates import Authority
from .conftest import NORMAL
from .drawn_messages import methods
from .fuzz import Fuzz, table
from .guarded import TOKENS, tokens_file
from .shop import Running, Shop, item_id, make_shop, picture, serving
from .test_abuse_load import ALLOWED, COUNT, abandoned, impatient
from .test_abuse_texts import odd_shop, test_odd_ids_are_found_whole  # noqa: F401 - run with the fixture below
from .test_security_tls import check, tls
from .watchers import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_loopback")]

ON_RAY: dict[str, Any] = {"ray": True, "replicas": 2, "replica_cpus": 0.25}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def running(authority: Authority, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Iterator[Running]:
    """Two replicas of twenty items; the listener asks for tokens, over TLS."""
    folder = tmp_path_factory.mktemp("guarded")
    secured = {"tls": tls(authority.issue("server")), "tokens": tokens_file(folder)}
    with serving(make_shop(folder), **ON_RAY, **secured, threads=4, waiting=30) as server:
        until(lambda: server.server.ready, 120)
        yield server


def credentials(authority: Authority, name: str) -> Credentials:
    """With the token of that name, or with none."""
    return Credentials(authority.path.read_bytes(), token=TOKENS[name][0] if name else "")


@pytest.fixture(scope="module")
def client(running: Running, authority: Authority) -> Iterator[Client]:
    with Client(running.target, credentials=credentials(authority, "both")) as one:
        yield one


@pytest.fixture(scope="module")
def channel(running: Running, authority: Authority) -> Iterator[grpc.Channel]:
    with credentials(authority, "both").channel(running.target) as one:
        yield one


@pytest.fixture(scope="module")
def normal_hits(client: Client) -> tuple[Hit, ...]:
    return client.search(NORMAL).hits


@pytest.fixture(scope="module")
def odd(shop: Shop, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Iterator[grpc.Channel]:
    """To replicas of items with odd ids."""
    with serving(odd_shop(tmp_path_factory.mktemp("odd"), shop), **ON_RAY) as server:
        until(lambda: server.server.ready, 120)
        with grpc.insecure_channel(server.target) as one:
            yield one


def idle(running: Running) -> bool:
    """Whether nothing is under way at the listener."""
    backend = running.server._backend
    assert isinstance(backend, Replicas)
    return backend._under_way == 0 and backend._changes.under_way == 0


@pytest.mark.usefixtures("then_served")
def test_who_may_do_what_is_asked_before_a_replica_is(running: Running, authority: Authority) -> None:
    assert check(running.target, Credentials()) is grpc.StatusCode.UNAVAILABLE  # plaintext
    reading = search_pb2.SearchRequest(item_id=item_id(1))
    writing = catalog_pb2.DeleteItemsRequest(item_ids=[item_id(2)])
    missing = Outcome(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    scope = Outcome(grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
    rows = {"": (missing, missing), "reader": (OK, scope), "writer": (scope, OK)}
    for name, expected in rows.items():
        with credentials(authority, name).channel(running.target) as channel:
            for method, request, wanted in zip(("Search", "DeleteItems"), (reading, writing), expected, strict=True):
                assert outcome(channel, method, request) == wanted, (name, method)
    with credentials(authority, "both").channel(running.target) as channel:
        put = catalog_pb2.UpsertItemsRequest(item={"item_id": item_id(2), "image": picture(2)})
        assert call(channel, "UpsertItems", put).changed_count == 1


@pytest.mark.usefixtures("then_served")
@pytest.mark.parametrize("callers", [impatient, abandoned], ids=lambda function: function.__name__)
def test_a_thousand_who_do_not_wait_leave_nothing(running: Running, channel: grpc.Channel, callers: Any) -> None:
    codes = callers(channel, 0)
    assert codes.total() == COUNT and codes.keys() <= ALLOWED, codes
    assert codes[grpc.StatusCode.DEADLINE_EXCEEDED] + codes[grpc.StatusCode.CANCELLED] > COUNT / 10, codes
    until(lambda: idle(running))


def test_no_message_makes_a_replica_fail(running: Running, channel: grpc.Channel, client: Client) -> None:
    fuzz = Fuzz(channel, 1)
    fuzz.run(20, lambda: client.search(image=picture(3)))
    print(table(fuzz))
    assert not fuzz.faults, "\n".join(fuzz.faults[:5])
    assert fuzz.statuses.keys() == {method.full_name for method in methods()}
    until(lambda: idle(running))
