from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from pipelines.search.limits import Limits
from pipelines.search.request import AttributeCondition, SearchRequest
from pipelines.search.result import Hit
from pipelines.serve.client import Client

from .abuse import loopback_only
from .shop import Running, Shop, make_shop, picture, serving

NORMAL = SearchRequest(image=picture(3), attributes=(AttributeCondition("collar"),))


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Twenty items, published once."""
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="package")
def running(shop: Shop) -> Iterator[Running]:
    """A server of the shop."""
    with serving(shop) as server:
        yield server


@pytest.fixture(scope="package")
def client(running: Running) -> Iterator[Client]:
    with Client(running.target) as one:
        yield one


@pytest.fixture(scope="package")
def channel(running: Running, client: Client) -> Iterator[grpc.Channel]:
    """To the server of the shop, once that is ready."""
    client.search(NORMAL)
    with grpc.insecure_channel(running.target, options=[("grpc.max_send_message_length", -1)]) as one:
        yield one


@pytest.fixture(scope="package")
def normal_hits(client: Client) -> tuple[Hit, ...]:
    """What a normal request gets before anybody is abusive."""
    return client.search(NORMAL).hits


@pytest.fixture
def then_served(client: Client, normal_hits: tuple[Hit, ...]) -> Iterator[None]:
    """After the test, the next normal request gets what it always got."""
    yield
    hits = client.search(NORMAL).hits
    assert [hit.item_id for hit in hits] == [hit.item_id for hit in normal_hits]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in normal_hits], abs=1e-5)


@pytest.fixture(scope="module")
def on_loopback() -> Iterator[None]:
    """During the module nothing leaves loopback (as far as `loopback_only` sees)."""
    with loopback_only():
        yield


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with one picture, and a picture and a link to it outside."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "root").mkdir()
    (folder / "root" / "in.png").write_bytes(picture(77))
    (folder / "secret.png").write_bytes(picture(78))
    (folder / "root" / "link.png").symlink_to(folder / "secret.png")
    return folder


@pytest.fixture
def own(shop: Shop, tmp_path: Path, pictures: Path) -> Iterator[tuple[Shop, Client, Running]]:
    """A shop that may be changed, and its server, which does not look for new snapshots by itself."""
    mine = make_shop(tmp_path, 8, like=shop)
    limits = Limits(changed_items=20, changed_bytes=100_000)
    with (
        serving(mine, limits, poll_seconds=1000, roots=[str(pictures / "root")]) as running,
        Client(running.target) as client,
    ):
        while not running.server.ready:
            time.sleep(0.05)
        yield mine, client, running
