"""Immediate changes over a real connection: each is in the next answer."""

from __future__ import annotations

import shutil
import threading
import time
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from pipelines.errors import GateError, RequestError
from pipelines.index import lease as lease_module
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.requests import Request
from pipelines.index.retention import take_off_the_list
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, value_pb2
from pipelines.search.request import AttributeCondition, SearchRequest
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError, from_rpc_error
from pipelines.serve.upsert import UpsertedItem
from pipelines.serve.writer import Writer

from .shop import Running, Shop, item_id, make_checkpoint, make_shop, picture, serving
from .test_lifecycle import version_file

Item = catalog_pb2.UpsertItem


def ids(client: Client) -> list[str]:
    return [item.item_id for item in client.items()]


def test_what_is_put_in_is_in_the_next_answer(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    before = client.published()
    done = client.upsert(
        [
            Item(
                item_id="new 'one'",
                image=picture(60),
                metadata={"price": value_pb2.Value(int_value=99), "brand": value_pb2.Value(string_value="Åke")},
                labels=[
                    catalog_pb2.ItemLabels(attribute="collar", classes=["polo"]),
                    catalog_pb2.ItemLabels(attribute="pattern"),
                ],
            ),
            Item(item_id=item_id(3), image=picture(61)),
        ]
    )
    assert (done.changed_count, done.unchanged_count, list(done.refused_items)) == (2, 0, [])
    best = client.search(image=picture(60), page_size=1).hits[0]
    assert best.item_id == "new 'one'" and best.score > 0.999
    assert best.metadata == {"brand": "Åke", "price": 99}
    assert client.search(image=picture(61), page_size=1).hits[0].item_id == item_id(3)
    item = client.item("new 'one'")
    assert item.labels == {"collar": ("polo",), "pattern": (), "colour": ()} and item.thumbnail
    assert client.item(item_id(3)).metadata == {}
    assert f"snapshots/{client.published()}" == done.snapshot != f"snapshots/{before}"
    assert ids(client) == sorted([*map(item_id, range(8)), "new 'one'"])


def test_what_is_taken_out_is_not_in_the_next_answer(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    done = client.delete([*map(item_id, range(7)), "nobody", item_id(0)])
    assert (done.deleted_count, done.absent_count) == (7, 1)
    assert ids(client) == [item_id(7)]
    result = client.search(attributes=(AttributeCondition("colour", ("red",)),), page_size=9)
    assert [hit.item_id for hit in result.hits] == [item_id(7)]


def test_a_call_that_comes_again_changes_nothing(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    put = [Item(item_id="a", image=picture(60))]
    first = client.upsert(put, "request 1")
    client.delete(["a"], "request 2")
    assert client.upsert(put, "request 1") == first
    assert "a" not in ids(client)
    assert client.delete(["a"], "request 2").deleted_count == 1
    assert client.delete(["a"]).deleted_count == 0
    for again in (
        lambda: client.upsert([Item(item_id="b", image=picture(60))], "request 1"),
        lambda: client.delete(["b"], "request 2"),
        lambda: client.delete(["a"], "request 1"),
    ):
        with pytest.raises(ServiceError) as raised:
            again()
        assert (raised.value.reason, raised.value.field) == ("REQUEST_ID_REUSED", "request_id")


def test_a_request_id_of_another_method_is_refused(own: tuple[Shop, Client, Running]) -> None:
    """These two requests are the same bytes."""
    _, client, running = own
    name = f"snapshots/{client.published()}"
    with grpc.insecure_channel(running.target) as channel:
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        stub.PublishSnapshot(catalog_pb2.PublishSnapshotRequest(request_id="a", snapshot=name), timeout=20)
    with pytest.raises(ServiceError) as raised:
        client.delete([name], "a")
    assert (raised.value.reason, raised.value.field) == ("REQUEST_ID_REUSED", "request_id")


def test_what_has_not_changed_is_told(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    put = [Item(item_id="a", image=picture(60), metadata={"price": value_pb2.Value(int_value=1)})]
    assert client.upsert(put).changed_count == 1
    again = client.upsert(put)
    assert (again.changed_count, again.unchanged_count) == (0, 1)
    put[0].metadata["price"].int_value = 2
    assert client.upsert(put).changed_count == 1
    assert client.item("a").metadata == {"price": 2}


def test_the_longest_text_is_kept_whole(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    text = "\u00e5" * client.limits().text_length
    client.upsert([Item(item_id="a", image=picture(60), metadata={"brand": value_pb2.Value(string_value=text)})])
    assert client.item("a").metadata == {"brand": text}


def test_an_earlier_snapshot_is_served_again(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    first = client.published()
    client.upsert([Item(item_id="a", image=picture(60))])
    client.delete([item_id(0)])
    back = client.publish(first)
    assert back not in (first, "") and client.published() == back
    assert ids(client) == [item_id(n) for n in range(8)]
    client.upsert([Item(item_id="b", image=picture(60))])
    assert ids(client) == sorted([*map(item_id, range(8)), "b"])
    with pytest.raises(ServiceError) as raised:
        client.publish("s99999999")
    assert (raised.value.code, raised.value.field) == (grpc.StatusCode.NOT_FOUND, "snapshot")


@pytest.mark.parametrize("lost", ["checkpoint", "version", "data"])
def test_an_earlier_snapshot_is_served_again_though_the_published_one_cannot_be_opened(
    own: tuple[Shop, Client, Running], tmp_path: Path, lost: str
) -> None:
    mine, client, _ = own
    first, files = client.published(), set(Path(mine.index.uri).rglob("*.lance"))
    if lost == "checkpoint":
        Shop(mine.index, make_checkpoint(tmp_path / "other", 1), tmp_path / "other").stock(range(8))
        shutil.rmtree(tmp_path / "other")
    else:
        later = mine.stock([60])
        table = Path(mine.index.table_uri("items", later.generation))
        if lost == "version":
            version_file(str(table), later.versions["items"]).unlink()
        else:
            for path in set((table / "data").iterdir()) - files:
                path.unlink()
    with pytest.raises(ServiceError):
        client.delete([item_id(0)])
    back = client.publish(first)
    assert back != first and client.published() == back
    assert ids(client) == [item_id(n) for n in range(8)]
    assert client.delete([item_id(0)]).deleted_count == 1


def test_nothing_is_taken_out_before_anything_is_published(shop: Shop, tmp_path: Path) -> None:
    mine = make_shop(tmp_path, 4, like=shop)
    (snapshot,) = mine.index.snapshots()
    take_off_the_list(mine.index, {snapshot.snapshot_id})
    with serving(mine) as running, grpc.insecure_channel(running.target) as channel:
        stub = catalog_pb2_grpc.CatalogServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.DeleteItems(catalog_pb2.DeleteItemsRequest(item_ids=[item_id(1), "nobody"]), timeout=20)
    assert from_rpc_error(raised.value).reason == "NOT_READY"
    assert not mine.index.snapshots()
    assert mine.index.dataset("items", snapshot.generation).version == snapshot.versions["items"]


def test_a_picture_that_cannot_be_used_is_refused_alone(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    done = client.upsert([Item(item_id=item_id(1), image=b"no picture"), Item(item_id="good", image=picture(60))])
    assert [one.item_id for one in done.refused_items] == [item_id(1)]
    assert done.refused_items[0].reason.startswith("IMAGE_") and done.changed_count == 1
    assert client.search(item_id="good", page_size=20).total_candidates == 8  # the one before is still there


def test_ids_are_kept_in_nfc(own: tuple[Shop, Client, Running]) -> None:
    _, client, _ = own
    client.upsert([Item(item_id=unicodedata.normalize("NFD", "kjøleskåp"), image=picture(60))])
    assert client.item("kjøleskåp").item_id == unicodedata.normalize("NFC", "kjøleskåp")
    assert client.delete([unicodedata.normalize("NFD", "kjøleskåp")]).deleted_count == 1


def test_changes_that_wait_do_not_keep_searches_waiting(shop: Shop, tmp_path: Path) -> None:
    mine = make_shop(tmp_path, 4, like=shop)
    with serving(mine, threads=1, waiting=20) as running, Client(running.target) as client:
        client.published()
        searched: list[int] = []

        def change(n: int) -> str:
            with Client(running.target) as other:
                other.upsert([Item(item_id=f"new {n}", image=picture(60 + n))])
                return f"new {n}"

        with ThreadPoolExecutor(6) as pool:
            changes = [pool.submit(change, n) for n in range(6)]
            while not all(one.done() for one in changes):
                searched.append(client.search(item_id=item_id(1), page_size=20).total_candidates)
            new = {one.result() for one in changes}
        assert ids(client) == sorted({*map(item_id, range(4)), *new})
        assert searched == sorted(searched) and len(searched) > 6  # more than one between two changes


def test_changes_are_published_as_the_server_was_told_to(shop: Shop, tmp_path: Path) -> None:
    mine = make_shop(tmp_path, 4, like=shop)
    before = len(mine.index.snapshots())
    with (
        serving(mine, retention={"snapshots": 1, "minutes": 0, "batch": 1}, gate={"max_growth": 1.25}) as running,
        Client(running.target) as client,
    ):
        for n in range(8):  # by default all would stay for an hour
            client.upsert([Item(item_id=item_id(1), image=picture(60 + n))])
        assert len(mine.index.snapshots()) < before + 4
        with pytest.raises(
            ServiceError, match=r"6 items would take the place of 4, and --gate.max-growth is 1.25"
        ) as no:
            client.upsert([Item(item_id=f"new {n}", image=picture(80 + n)) for n in range(2)])
        assert no.value.reason == "PUBLICATION_REFUSED"
        assert (
            client.delete([item_id(n) for n in range(3)]).deleted_count == 3
        )  # of 6, and more than half of what is served


def test_a_deletion_does_not_publish_what_the_gate_refused(shop: Shop, tmp_path: Path) -> None:
    """What others took out is not named by it, however much goes by name."""
    mine = make_shop(tmp_path, 8, like=shop)
    gone = tmp_path / "gone.csv"
    gone.write_text("item_id\n" + "".join(f'"{item_id(n)}"\n' for n in range(6)))
    with pytest.raises(GateError, match="of 8 served items 2 are left"):
        run_ingest(IngestSettings(manifest=[str(gone)], index=mine.index.uri, delete=True))
    with serving(mine) as running, Client(running.target) as client:
        for named in ("nobody", item_id(7)):
            with pytest.raises(ServiceError) as refused:
                client.delete([named])
            assert refused.value.reason == "PUBLICATION_REFUSED" and len(ids(client)) == 8


def test_a_request_is_answered_again_whatever_has_changed_since(
    own: tuple[Shop, Client, Running], pictures: Path
) -> None:
    _, client, _ = own
    place = pictures / "root" / "moves.jpg"
    place.write_bytes(picture(60))
    items = [Item(item_id="new", image_uri="moves.jpg"), Item(item_id="more", image=picture(61))]
    first = client.upsert(items, "mine")
    place.unlink()
    assert client.upsert(items, "mine") == first
    for request_id, reason in (("another", "IMAGE_NOT_FOUND"), ("", "IMAGE_NOT_FOUND"), ("mine", "REQUEST_ID_REUSED")):
        with pytest.raises(ServiceError) as refused:
            client.upsert(items if request_id != "mine" else items[:1], request_id)
        assert refused.value.reason == reason
    assert f"snapshots/{client.published()}" == first.snapshot


def test_while_another_process_writes(own: tuple[Shop, Client, Running]) -> None:
    mine, client, _ = own
    client.timeout = 5  # it is tried again for so long
    with Lease(mine.index.uri):
        for change in (
            lambda: client.upsert([Item(item_id="a", image=picture(60))]),
            lambda: client.delete([item_id(0)]),
            lambda: client.publish(),
        ):
            with pytest.raises(ServiceError) as raised:
                change()
            assert raised.value.reason == "INDEX_BUSY" or raised.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert client.search(SearchRequest(item_id=item_id(0), page_size=2)).hits
    assert client.delete([item_id(0)]).deleted_count == 1


def test_a_change_that_another_process_overtakes_may_be_sent_again(
    own: tuple[Shop, Client, Running], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mine, client, _ = own
    put, commit = [Item(item_id="a", image=picture(60))], Committer.commit

    def overtaken(committer: Committer, *arguments: Any) -> None:
        monkeypatch.setattr(Committer, "commit", commit)
        lease_module._held_here.clear()  # as in another process that has our number
        with Lease(mine.index.uri):
            commit(committer, *arguments)

    monkeypatch.setattr(Committer, "commit", overtaken)
    with pytest.raises(ServiceError) as raised:
        client.upsert(put, "once")
    assert (raised.value.code, raised.value.reason) == (grpc.StatusCode.ABORTED, "INDEX_CONFLICT")
    assert mine.index.uri not in str(raised.value)
    assert any("was taken over by process" in record.message for record in caplog.records)
    assert client.upsert(put, "once").changed_count == 1
    assert client.search(image=picture(60), page_size=1).hits[0].item_id == "a"


def test_searches_go_on_while_items_change(own: tuple[Shop, Client, Running]) -> None:
    """Every answer is of one state: an item's price and its picture are changed together."""
    _, client, running = own
    seeds = (60, 61)
    ended, wrong, answers = threading.Event(), list[Any](), [0]

    def state(turn: int) -> list[Item]:
        price = value_pb2.Value(int_value=turn % 2)
        return [Item(item_id="a", image=picture(seeds[turn % 2]), metadata={"price": price})]

    client.upsert(state(0))

    def search() -> None:
        with Client(running.target) as other:
            while not ended.is_set():
                hit = next(hit for hit in other.search(image=picture(60), page_size=9).hits if hit.item_id == "a")
                answers[0] += 1
                if (hit.score > 0.999) != (hit.metadata["price"] == 0):
                    wrong.append(hit)

    thread = threading.Thread(target=search)
    thread.start()
    for turn in range(1, 7):
        client.upsert(state(turn))
        found = client.search(image=picture(seeds[turn % 2]), page_size=1).hits[0]
        assert (found.item_id, found.metadata["price"]) == ("a", turn % 2)
    ended.set()
    thread.join(30)
    assert not wrong and answers[0] > 6


def test_a_stream_that_breaks_off_changes_nothing(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled, out of time, or its connection gone: what came of it is not taken for all of it."""
    mine, begun = make_shop(tmp_path, 4, like=shop), threading.Event()
    upsert = Writer.upsert

    def noted(
        self: Writer, items: Sequence[UpsertedItem], request: Request, fault: RequestError | None
    ) -> catalog_pb2.UpsertItemsResponse:
        if items[0].item_id != "whole":
            begun.set()
        return upsert(self, items, request, fault)

    monkeypatch.setattr(Writer, "upsert", noted)
    with serving(mine) as running, Client(running.target) as client:
        client.upsert([Item(item_id="whole", image=picture(59))])
        for number in range(30):
            enough, more = threading.Event(), threading.Event()

            def items(number: int = number, enough: threading.Event = enough, more: threading.Event = more) -> Any:
                for n in range(2):
                    item = Item(item_id=f"half {number} {n}", image=picture(60))
                    yield catalog_pb2.UpsertItemsRequest(item=item, request_id="half")
                enough.set()
                more.wait(5)

            with grpc.insecure_channel(running.target) as channel:
                call = catalog_pb2_grpc.CatalogServiceStub(channel).UpsertItems.future(
                    items(), timeout=0.3 if number % 3 == 0 else 20
                )
                assert enough.wait(5)
                time.sleep(0.01 * (number % 5))
                if number % 3 == 1:
                    call.cancel()
                elif number % 3 == 0:
                    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            more.set()
        assert not begun.wait(0.5)
        assert ids(client) == sorted([*map(item_id, range(4)), "whole"])
