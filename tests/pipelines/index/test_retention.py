from __future__ import annotations

import glob
import random
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import lance
import pytest
from lance.dataset import Tags

from pipelines.errors import ConflictError, StoreError
from pipelines.index import reader_lease as reader_lease_module
from pipelines.index import retention
from pipelines.index.committer import Committer
from pipelines.index.datasets import write_rows
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS, attribute_table
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.reader_lease import ReaderLease, leased_snapshots
from pipelines.index.retention import RetentionSettings, clean, remove_orphans
from pipelines.index.snapshot import Snapshot
from pipelines.index.store import Index
from pipelines.index.upkeep import UpkeepSettings

from .support import TAXONOMY, Item, assert_tables_hold, checkpoint, receipt, rows

TABLE = attribute_table(TAXONOMY.names[0])


def settings(minutes: float = 0, batch: int = 1, snapshots: int = 2) -> PublishSettings:
    keep = RetentionSettings(snapshots=snapshots, minutes=minutes, batch=batch)
    return PublishSettings(retention=keep, upkeep=UpkeepSettings(fragments=4))


def step(committer: Committer, number: int, how: PublishSettings) -> Snapshot:
    committer.commit([receipt(committer, upserts={f"i{number}": Item(number % 8), "all": Item(number % 8)})])
    return publish(committer, settings=how)


def versions(committer: Committer, table: str = TABLE) -> int:
    return len(committer.index.dataset(table, committer.generation.name).versions())


def test_old_snapshots_go_and_their_versions_with_them(committer: Committer) -> None:
    how = settings(batch=3)
    for number in range(20):
        step(committer, number, how)
        listed = [snapshot.snapshot_id for snapshot in committer.index.snapshots()]
        assert 1 <= len(listed) <= 2 + 2
        assert listed[-1] == f"s{number + 1:08d}"
        assert versions(committer) <= 5 * (len(listed) + 1)
    for snapshot in committer.index.snapshots():
        number = int(snapshot.snapshot_id[1:])
        reader = committer.index.reader(snapshot)
        assert reader.items(["item_id"]).num_rows == reader.attribute(TAXONOMY.names[0]).num_rows == number + 1
    assert_tables_hold(committer, {f"i{n}": Item(n % 8) for n in range(20)} | {"all": Item(19 % 8)})


def test_the_list_itself_stays_short(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_LIST_FRAGMENTS", 4)
    for number in range(12):
        step(committer, number, settings())
        assert len(committer.index.dataset("snapshots").get_fragments()) <= 5
        latest = committer.index.latest()
        assert latest is not None and latest.snapshot_id == f"s{number + 1:08d}"


def test_so_do_its_versions(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_READERS_GRACE", timedelta(0))
    for number in range(12):
        step(committer, number, settings(batch=3))
    assert len(committer.index.dataset("snapshots").versions()) <= 5
    assert sum(file.is_file() for file in Path(committer.index.table_uri("snapshots")).rglob("*")) <= 30


def test_both_stay_few_while_no_snapshot_is_retired(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_READERS_GRACE", timedelta(0))
    monkeypatch.setattr(retention, "_LIST_FRAGMENTS", 4)
    for number in range(12):
        step(committer, number, settings(minutes=60))
    assert len(committer.index.snapshots()) == 12
    assert len(committer.index.dataset("snapshots").versions()) <= 5
    assert len(committer.index.dataset("snapshots").get_fragments()) <= 5


def test_pins_that_another_process_has_let_go_are_let_go(committer: Committer) -> None:
    committer.pin([ITEMS])
    (tag,) = committer.pins
    committer.index.dataset(ITEMS, committer.generation.name).tags.delete(tag)
    committer.unpin()
    assert not committer.pins


def test_a_publication_lists_no_tags(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would cost more, the more snapshots stay."""
    step(committer, 0, settings(minutes=60))
    monkeypatch.setattr(Tags, "list", lambda tags: pytest.fail("all tags of a table are listed"))
    committer.pin([ITEMS, TABLE])
    committer.unpin()
    step(committer, 1, settings(minutes=60))
    assert len(committer.index.snapshots()) == 2


def test_what_was_published_within_the_time_stays(committer: Committer) -> None:
    for number in range(6):
        step(committer, number, settings(minutes=10))
    assert len(committer.index.snapshots()) == 6


def test_what_a_reader_holds_is_read_to_its_end(committer: Committer) -> None:
    """Scans of a pinned snapshot go on under commits, compaction and cleanup."""
    first = step(committer, 0, settings())
    with ReaderLease(committer.index.uri) as lease:
        lease.hold({first.snapshot_id})
        assert leased_snapshots(committer.index.uri) == {first.snapshot_id}
        for number in range(1, 8):
            step(committer, number, settings())
            reader = Index.open(committer.index.uri).reader(first)
            assert sorted(reader.items(["item_id"])["item_id"].to_pylist()) == ["all", "i0"]
            assert reader.attribute(TAXONOMY.names[0]).num_rows == 2
        assert [one.snapshot_id for one in committer.index.snapshots()] == ["s00000001", "s00000007", "s00000008"]
    assert leased_snapshots(committer.index.uri) == set()
    step(committer, 8, settings())
    assert "s00000001" not in [one.snapshot_id for one in committer.index.snapshots()]
    with pytest.raises(StoreError, match="cannot be opened"):
        Index.open(committer.index.uri).reader(first).dataset(TABLE)


def test_a_lease_taken_while_snapshots_are_retired_is_seen(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that leases just after the leases were read keeps its versions, though the snapshot is off the list."""
    first = step(committer, 0, settings())
    step(committer, 1, settings())
    off_the_list = retention.take_off_the_list
    with ExitStack() as leases:

        def lease_first(index: Index, snapshot_ids: tuple[str, ...]) -> None:
            assert snapshot_ids == ("s00000001",)
            leases.enter_context(ReaderLease(index.uri)).hold(snapshot_ids)
            off_the_list(index, snapshot_ids)

        monkeypatch.setattr(retention, "take_off_the_list", lease_first)
        step(committer, 2, settings())
        assert len(committer.index.snapshots()) == 2
        assert Index.open(committer.index.uri).reader(first).items(["item_id"]).num_rows == 2


def test_a_cleanup_that_is_overtaken_stops(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if another process had taken over within a table, while this one was suspended."""
    for number in range(4):
        step(committer, number, settings(snapshots=9))
    tables = committer.generation.tables
    before = {table: versions(committer, table) for table in tables}
    cleanup = lance.LanceDataset.cleanup_old_versions

    def overtaken(dataset: lance.LanceDataset, *arguments: object, **named: object) -> object:
        if committer.generation.name in dataset.uri:  # and not the list of snapshots
            monkeypatch.setattr(Lease, "check", lost)
        return cleanup(dataset, *arguments, **named)

    def lost(_: Lease) -> None:
        raise ConflictError("taken over")

    monkeypatch.setattr(lance.LanceDataset, "cleanup_old_versions", overtaken)
    with pytest.raises(ConflictError):
        clean(committer, ["s00000001", "s00000002"])
    assert sum(versions(committer, table) < before[table] for table in tables) == 1


def test_versions_that_are_about_to_be_published_stay(committer: Committer) -> None:
    """Whoever has taken over tags them before the snapshot is on the list."""
    step(committer, 0, settings())
    datasets = committer.datasets
    for dataset in datasets.values():
        dataset.tags.create("s00000002-v9", dataset.version)
    clean(committer)
    assert all("s00000002-v9" in dataset.tags.list() for dataset in datasets.values())
    step(committer, 1, settings(snapshots=1))
    step(committer, 2, settings(snapshots=1))
    assert not any("s00000002-v9" in dataset.tags.list() for dataset in committer.datasets.values())


def test_readers_that_lease_at_the_same_time(index: Index) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(ReaderLease(index.uri)) for _ in range(4)]
        dice = random.Random(0)
        held: dict[int, set[str]] = {}
        for _ in range(12):
            number = dice.randrange(4)
            held[number] = {f"s{dice.randrange(5)}" for _ in range(2)}
            readers[number].hold(held[number])
            assert leased_snapshots(index.uri) == set().union(*held.values())
    assert leased_snapshots(index.uri) == set()


def test_an_index_that_cannot_be_written_is_read_without_a_lease(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "readers.lance").write_text("not a folder")
    with ReaderLease(str(tmp_path)) as lease:
        lease.hold({"s1"})
        lease.hold({"s2"})
    assert len([record for record in caplog.records if "no lease is kept" in record.message]) == 1


@pytest.mark.parametrize(
    "error", [ValueError("not ours"), RuntimeError("not ours")], ids=lambda one: type(one).__name__
)
def test_a_lease_is_kept_again_after_any_error_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setattr(reader_lease_module, "BEAT_SECONDS", 0.01)
    open_dataset, refused, down = reader_lease_module.open_dataset, threading.Semaphore(0), False

    def sometimes(uri: str) -> lance.LanceDataset:
        if down:
            refused.release()
            raise error
        return open_dataset(uri)

    monkeypatch.setattr(reader_lease_module, "open_dataset", sometimes)
    with ReaderLease(str(tmp_path)) as lease:
        lease.hold({"s1"})
        down = True
        assert all(refused.acquire(timeout=30) for _ in range(3))
        down = False
        before, end = lance.dataset(f"{tmp_path}/readers.lance").version, time.monotonic() + 30
        while lance.dataset(f"{tmp_path}/readers.lance").version < before + 3 and time.monotonic() < end:
            time.sleep(0.01)
        assert lance.dataset(f"{tmp_path}/readers.lance").version >= before + 3
    assert len([record for record in caplog.records if "no lease is kept" in record.message]) == 1


def test_what_a_run_reads_stays(committer: Committer) -> None:
    step(committer, 0, settings())
    pinned = committer.pin([ITEMS])
    for number in range(1, 4):
        step(committer, number, settings())
    clean(committer)
    index, name = committer.index, committer.generation.name
    assert index.dataset(ITEMS, name, pinned[ITEMS]).count_rows() == 3
    committer.unpin()
    clean(committer)
    with pytest.raises(StoreError, match="at version"):
        index.dataset(ITEMS, name, pinned[ITEMS])


def test_pins_of_a_dead_run_are_let_go(index: Index) -> None:
    generation = index.create_generation(checkpoint(), "/c")
    with Lease(index.uri) as lease:
        dead = Committer(index, generation, lease)
        pinned = dead.pin([ITEMS])
        dead.commit([receipt(dead, upserts={"a": Item(1)})])
    with Lease(index.uri) as lease:
        clean(Committer(index, generation, lease))
    assert pinned[ITEMS] not in [v["version"] for v in index.dataset(ITEMS, generation.name).versions()]


def test_orphans_are_removed_by_whoever_holds_the_lease(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is taken over on the way stops: what it finds from then on may be another one's."""
    answers = iter([None, None])

    def check() -> None:
        if next(answers, StoreError) is StoreError:
            raise StoreError("taken over")

    monkeypatch.setattr(committer.lease, "check", check)
    last = committer.datasets[ITEMS]
    write_rows(last, last.to_table())
    with pytest.raises(StoreError, match="taken over"):
        remove_orphans(committer)
    assert len(glob.glob(f"{last.uri}/data/*")) == 2


def test_orphans_go_and_nothing_else(committer: Committer) -> None:
    snapshot = step(committer, 0, settings())
    step(committer, 1, settings())
    dataset = committer.datasets[TABLE]
    before = set(glob.glob(f"{dataset.uri}/data/*"))
    write_rows(dataset, rows(committer, {"orphan": Item(1)}, 9, TABLE))
    (orphan,) = set(glob.glob(f"{dataset.uri}/data/*")) - before
    clean(committer)
    assert Path(orphan).exists(), "somebody may be about to commit it"
    other = committer.index.create_generation(checkpoint(seed=1), "/other")
    beside = committer.index.dataset(ITEMS, other.name)
    (kept,) = glob.glob(f"{beside.uri}/data/*")
    write_rows(beside, beside.to_table())
    assert remove_orphans(committer) > 0
    assert not Path(orphan).exists()
    assert glob.glob(f"{beside.uri}/data/*") == [kept], "in every generation"
    assert lance.dataset(dataset.uri).to_table().num_rows == 4
    assert committer.index.reader(snapshot).attribute(TAXONOMY.names[0]).num_rows == 2
    assert_tables_hold(committer, {"i0": Item(0), "i1": Item(1), "all": Item(1)})
