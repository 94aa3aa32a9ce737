"""A request that comes again after its server was killed, or at another server of the index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import RequestError
from pipelines.index import switch as switch_module
from pipelines.index.committer import Committer
from pipelines.index.gate import GateSettings
from pipelines.index.lease import Lease
from pipelines.index.publish import PublishSettings
from pipelines.index.requests import Request, Requests
from pipelines.index.store import Index
from pipelines.index.switch import publish_generation
from pipelines.ingest import delete as delete_module
from pipelines.ingest import run as run_module
from pipelines.search.limits import Limits
from pipelines.search.request import SearchRequest
from pipelines.serve.engines import Engines
from pipelines.serve.settings import ServeSettings
from pipelines.serve.upsert import UpsertedItem
from pipelines.serve.writer import Writer

from .shop import Shop, item_id, make_checkpoint, make_shop, picture

A = UpsertedItem("a", picture(60), None, {}, {})
B = UpsertedItem("b", picture(61), None, {}, {})
BROKEN = UpsertedItem("broken", b"no picture", None, {}, {})
PUT, TAKE, BACK = Request("put", "1"), Request("take", "2"), Request("back", "3")


class Killed(BaseException):
    """As if the process ended here."""


@contextmanager
def server(index: Index) -> Iterator[tuple[Writer, Engines]]:
    engines = Engines(Index.open(index.uri), ServeSettings(index=index.uri), Limits())
    engines.refresh()
    yield Writer(engines, ServeSettings(index=index.uri)), engines
    engines.close()


def killed(index: Index, owner: Any, name: str, after: bool, change: Callable[[Writer], object]) -> None:
    """Make a change at a server that is killed before or after it calls something."""
    real = getattr(owner, name)

    def deadly(*arguments: Any, **named: Any) -> Any:
        if after:
            real(*arguments, **named)
        raise Killed

    with server(index) as (writer, _), pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, deadly)
        with pytest.raises(Killed):
            change(writer)


def ids(engines: Engines) -> set[str]:
    engines.refresh()
    return {item.item_id for item in engines.of().items(None, offset=0, count=99, thumbnails=False)[0]}


def windows(module: Any) -> pytest.MarkDecorator:
    """Moments to kill a change that `module` publishes: a call of whom, whether after it, and what is done by then."""
    moments = {
        "before the commit": (Requests, "begin", True, False),
        "after the commit": (Committer, "commit", True, True),
        "after the publication": (module, "publish", True, True),
        "before the record": (Requests, "answered", False, True),
    }
    return pytest.mark.parametrize(("owner", "name", "after", "done"), moments.values(), ids=moments)


@pytest.fixture
def index(shop: Shop, tmp_path: Path) -> Index:
    return make_shop(tmp_path, 6, like=shop).index


def test_another_server_answers_alike_and_changes_nothing(index: Index) -> None:
    with server(index) as (writer, _):
        put = writer.upsert([A, BROKEN], PUT)
        taken = writer.delete([item_id(0), "nobody"], TAKE)
        back = writer.publish(put.snapshot.removeprefix("snapshots/"), BACK)
        writer.delete(["a"], Request("", ""))
    with server(index) as (other, engines):
        before = len(index.snapshots())
        assert other.upsert([A, BROKEN], PUT) == put
        assert other.delete([item_id(0), "nobody"], TAKE) == taken
        assert other.publish(put.snapshot.removeprefix("snapshots/"), BACK) == back
        assert len(index.snapshots()) == before and "a" not in ids(engines)
        assert (put.changed_count, [one.item_id for one in put.refused_items]) == (1, ["broken"])
        with pytest.raises(RequestError) as raised:
            other.upsert([B], Request("put", "another digest"))
        assert raised.value.reason == "REQUEST_ID_REUSED"


@windows(run_module)
@pytest.mark.parametrize("meanwhile", [False, True])
def test_an_upsert_that_was_killed(
    index: Index, owner: Any, name: str, after: bool, done: bool, meanwhile: bool
) -> None:
    killed(index, owner, name, after, lambda writer: writer.upsert([A, B, BROKEN], PUT))
    with server(index) as (writer, engines):
        if meanwhile:
            writer.delete(["a"], TAKE)
        put = writer.upsert([A, B, BROKEN], PUT)
        assert (put.changed_count, put.unchanged_count) == (2, 0)
        assert [one.item_id for one in put.refused_items] == ["broken"]
        assert ids(engines) >= {"b"} and ("a" in ids(engines)) == (not (done and meanwhile))
        assert writer.upsert([A, B, BROKEN], PUT) == put


@windows(delete_module)
@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_deletion_that_was_killed(
    index: Index, owner: Any, name: str, after: bool, done: bool, meanwhile: bool
) -> None:
    # Alone, more than the gate lets go by itself. What is committed and not published keeps other writers waiting.
    gone = [item_id(number) for number in range(1 if meanwhile else 5)]
    with server(index) as (writer, _):
        writer.upsert([A], Request("", ""))
    killed(index, owner, name, after, lambda writer: writer.delete(["a", "nobody", *gone], TAKE))
    with server(index) as (writer, engines):
        if meanwhile:
            writer.upsert([A], PUT)
        taken = writer.delete(["a", "nobody", *gone], TAKE)
        assert (taken.deleted_count, taken.absent_count) == (1 + len(gone), 1)
        assert ids(engines) == {item_id(n) for n in range(len(gone), 6)} | ({"a"} if done and meanwhile else set())
        assert writer.delete(["a", "nobody", *gone], TAKE) == taken


@pytest.mark.parametrize(
    ("owner", "name", "after", "done"),
    [
        (Requests, "begin", True, False),
        (switch_module, "publish", False, True),
        (switch_module, "publish", True, True),
        (Requests, "answered", False, True),
    ],
    ids=["before the tables", "after the tables", "after the publication", "before the record"],
)
@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_rollback_that_was_killed(
    index: Index, owner: Any, name: str, after: bool, done: bool, meanwhile: bool
) -> None:
    first = index.snapshots()[-1].snapshot_id
    with server(index) as (writer, _):
        writer.upsert([A], Request("", ""))
    killed(index, owner, name, after, lambda writer: writer.publish(first, BACK))
    with server(index) as (writer, engines):
        if meanwhile:
            writer.upsert([B], PUT)
        back = writer.publish(first, BACK)
        assert ("b" in ids(engines)) == (meanwhile and done) and "a" not in ids(engines)
        assert writer.publish(first, BACK) == back


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [(Requests, "begin", True), (switch_module, "publish", False), (switch_module, "publish", True)],
    ids=["before the tables", "after the tables", "after the publication"],
)
def test_a_rollback_to_another_generation_that_was_killed(
    index: Index, tmp_path: Path, owner: Any, name: str, after: bool
) -> None:
    """To one that was never given what came since: that is what is asked for."""
    first = index.snapshots()[-1]
    other = make_checkpoint(tmp_path / "other", 1)
    any_items = PublishSettings(gate=GateSettings(max_loss=1, max_unseen=1))
    with Lease(index.uri) as lease:
        second = index.create_generation(other, str(tmp_path / "other"))
    with server(index) as (writer, _):
        writer.upsert([A], PUT)
    with Lease(index.uri) as lease:
        publish_generation(index, lease, second.name, any_items)
    killed(index, owner, name, after, lambda writer: writer.publish(first.snapshot_id, BACK))
    with server(index) as (writer, engines):
        back = writer.publish(first.snapshot_id, BACK)
        assert back.snapshot.item_count == first.items and ids(engines) == {item_id(n) for n in range(first.items)}
        assert writer.publish(first.snapshot_id, BACK) == back


def test_a_change_goes_to_the_served_generation_last(index: Index, shop: Shop, tmp_path: Path) -> None:
    """So a request that is done is done in all of them."""
    other = make_checkpoint(tmp_path / "other", 1)
    with Lease(index.uri) as lease:
        second = index.create_generation(other, str(tmp_path / "other"))
        Committer(index, second, lease)
    first = index.snapshots()[-1].generation
    order: list[str] = []
    commit = Committer.commit

    def noted(self: Committer, *arguments: Any) -> None:
        order.append(self.generation.name)
        commit(self, *arguments)

    with server(index) as (writer, _), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Committer, "commit", noted)
        writer.upsert([A], PUT)
        writer.delete(["a"], TAKE)
    assert order == [second.name, first] * 2


def test_a_page_token_is_good_at_another_server(index: Index) -> None:
    request = SearchRequest(image=picture(3), page_size=2)
    with server(index) as (writer, engines):
        page = engines.for_request(request).search(request)
        token = page.next_page_token
        writer.upsert([A], Request("", ""))
    further = SearchRequest(image=picture(3), page_size=2, page_token=token)
    with server(index) as (_, engines):
        found = engines.for_request(further).search(further)
        whole = engines.of(page.snapshot_id).search(SearchRequest(image=picture(3), snapshot=page.snapshot_id))
    assert [hit.item_id for hit in found.hits] == [hit.item_id for hit in whole.hits[2:4]]
    assert found.snapshot_id == page.snapshot_id
