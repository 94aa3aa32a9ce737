"""The table of abuse: real changes with no, a wrong and a read-only token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from pipelines.rpc.duet.v1 import catalog_pb2
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError
from pipelines.serve.security.credentials import Credentials

from .guarded import TOKENS, tokens_file
from .shop import Running, Shop, item_id, make_shop, picture, serving

pytestmark = pytest.mark.usefixtures("on_loopback", "then_served")

CHANGES: dict[str, Callable[[Client, str], object]] = {
    "upsert": lambda client, _: client.upsert([catalog_pb2.UpsertItem(item_id="new", image=picture(60))]),
    "upsert of what is there": lambda client, _: client.upsert(
        [catalog_pb2.UpsertItem(item_id=item_id(1), image=picture(60))], "a"
    ),
    "delete": lambda client, _: client.delete([item_id(0)]),
    "delete of nothing": lambda client, _: client.delete([]),
    "publish": lambda client, _: client.publish(),
    "roll back": lambda client, first: client.publish(first, "b"),
}
REFUSED = {
    "": (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"),
    "x" * 40: (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_UNKNOWN"),
    TOKENS["reader"][0]: (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"),
}


def client_of(running: Running, token: str) -> Client:
    return Client(running.target, credentials=Credentials(token=token))


@pytest.fixture(scope="module")
def closed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, Running]]:
    """A shop of two snapshots, whose server asks for tokens."""
    folder: Path = tmp_path_factory.mktemp("closed")
    mine = make_shop(folder, 4, like=shop)
    mine.stock([4])
    with serving(mine, tokens=tokens_file(folder)) as running, client_of(running, TOKENS["reader"][0]) as reader:
        reader.published()  # loaded
        yield mine, running


@pytest.mark.parametrize("token", REFUSED, ids=["no", "wrong", "read-only"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_refused_and_changes_nothing(closed: tuple[Shop, Running], token: str, change: str) -> None:
    mine, running = closed
    with client_of(running, token) as stranger, client_of(running, TOKENS["reader"][0]) as reader:

        def seen() -> object:
            hits = reader.search(image=picture(1)).hits
            return mine.index.snapshots(), list(reader.items()), [(hit.item_id, hit.rank) for hit in hits]

        before = seen()
        with pytest.raises(ServiceError) as raised:
            CHANGES[change](stranger, mine.index.snapshots()[0].snapshot_id)
        assert (raised.value.code, raised.value.reason) == REFUSED[token]
        assert seen() == before


def test_afterwards_who_may_change_does(closed: tuple[Shop, Running]) -> None:
    _, running = closed
    with client_of(running, TOKENS["writer"][0]) as writer, client_of(running, TOKENS["reader"][0]) as reader:
        first = reader.published()
        assert writer.upsert([catalog_pb2.UpsertItem(item_id="new", image=picture(60))], "a").changed_count == 1
        assert reader.search(image=picture(60), page_size=1).hits[0].item_id == "new"
        assert writer.delete([item_id(0)]).deleted_count == 1
        writer.publish(first, "b")
        assert [item.item_id for item in reader.items()] == [item_id(n) for n in range(5)]
        with pytest.raises(ServiceError) as raised:
            writer.published()
        assert raised.value.reason == "SCOPE_MISSING"
