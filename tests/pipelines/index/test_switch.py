from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import lance
import pytest

from pipelines.errors import ConflictError, GateError, StoreError
from pipelines.index import switch as switch_module
from pipelines.index.__main__ import main
from pipelines.index.committer import Committer
from pipelines.index.gate import GateSettings
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.reader_lease import ReaderLease
from pipelines.index.sentinel import new_mark
from pipelines.index.store import Index
from pipelines.index.switch import publish_generation, retire_generation, roll_back

from .support import Item, assert_tables_hold, checkpoint, receipt

OLD = {f"i{number}": Item(number % 8) for number in range(10)}
NEW = {**OLD, "i3": Item(7, "v-neck"), "added": Item(5)}


class Killed(BaseException):
    """What a kill -9 is to the process."""


@pytest.fixture
def lease(index: Index) -> Iterator[Lease]:
    with Lease(index.uri) as held:
        yield held


@pytest.fixture
def two(index: Index, lease: Lease) -> tuple[Committer, Committer]:
    """Two generations, the first of which is served."""
    committers = [
        Committer(index, index.create_generation(checkpoint(seed=seed), f"/c{seed}"), lease) for seed in (0, 1)
    ]
    for committer in committers:
        committer.commit([receipt(committer, upserts=OLD)])
    publish(committers[0])
    return committers[0], committers[1]


def changed(committer: Committer) -> Committer:
    """The second state, published."""
    upserts = {"i3": NEW["i3"], "added": NEW["added"]}
    committer.commit([receipt(committer, upserts=upserts)])
    publish(committer)
    return committer


def test_a_generation_is_served_at_once_and_back(index: Index, lease: Lease, two: tuple[Committer, Committer]) -> None:
    first, second = (committer.generation.name for committer in two)
    held = Index.open(index.uri)  # a reader that was there before
    assert publish_generation(index, lease, second).generation == second
    latest = held.latest()
    assert latest is not None and (latest.generation, latest.checkpoint_uri, latest.items) == (second, "/c1", 10)
    assert roll_back(index, lease).generation == first
    latest = held.latest()
    assert latest is not None and (latest.snapshot_id, latest.generation) == ("s00000003", first)


def test_an_empty_generation_is_not_served(index: Index, lease: Lease, two: tuple[Committer, Committer]) -> None:
    empty = index.create_generation(checkpoint(has_classes=False), "/c")
    with pytest.raises(StoreError, match=r"is empty: `duet ingest --generation new` fills it"):
        publish_generation(index, lease, empty.name)
    with pytest.raises(StoreError, match="no generation 'x'"):
        publish_generation(index, lease, "x")


def test_a_generation_whose_first_ingestion_has_not_ended_is_not_served(
    index: Index, lease: Lease, two: tuple[Committer, Committer]
) -> None:
    first, second = two
    more = {f"more {number}": Item(number % 8) for number in range(5)}
    first.commit([receipt(first, upserts=more)])
    publish(first)
    with pytest.raises(GateError, match=r"5 of the 15 items that are served were never embedded in this generation"):
        publish_generation(index, lease, second.generation.name)
    latest = index.latest()
    assert latest is not None and latest.generation == first.generation.name
    second = Committer(index, second.generation, lease)
    two_more = dict(list(more.items())[:2])
    second.commit([receipt(second, upserts=two_more, letters=[name for name in more if name not in two_more])])
    served = publish_generation(index, lease, second.generation.name)
    assert served.items == 12 and served.checks["unseen"] == 0, "what was refused was tried"
    back = roll_back(index, lease)
    assert (back.generation, back.items) == (first.generation.name, 15)


def test_a_smaller_generation_than_the_served_one(index: Index, lease: Lease, two: tuple[Committer, Committer]) -> None:
    first, second = two
    first.commit([receipt(first, upserts={f"more {number}": Item(1) for number in range(15)})])
    publish(first)
    settings = PublishSettings(gate=GateSettings(max_unseen=0.6))
    with pytest.raises(GateError, match=r"of 25 served items 10 are left, and --gate.max-loss is 0.5"):
        publish_generation(index, lease, second.generation.name, settings)
    settings = PublishSettings(gate=GateSettings(max_unseen=0.6, max_loss=0.6))
    assert publish_generation(index, lease, second.generation.name, settings).checks["unseen"] == 0.6


def test_each_rollback_goes_one_step_further(index: Index, lease: Lease, two: tuple[Committer, Committer]) -> None:
    committer = two[0]
    for name in ("second", "bad"):
        committer.commit([receipt(committer, upserts={name: Item(1)})])
        publish(committer)
    assert roll_back(index, lease).items == 11
    assert roll_back(index, lease).items == 10, "and not to the bad one, which was taken back"
    committer = Committer(index, committer.generation, lease)
    committer.commit([receipt(committer, upserts={"other": Item(2)})])
    assert publish(committer).items == 11
    assert roll_back(index, lease).items == 10
    with pytest.raises(StoreError, match="no snapshot before the published one"):
        roll_back(index, lease)


def test_what_is_rolled_back_does_not_come_back_with_the_next_increment(
    index: Index, lease: Lease, two: tuple[Committer, Committer]
) -> None:
    changed(two[0])
    back = roll_back(index, lease)
    assert (back.snapshot_id, back.items) == ("s00000003", 10)
    committer = Committer(index, two[0].generation, lease)
    assert_tables_hold(committer, OLD)
    committer.commit([receipt(committer, upserts={"later": Item(2)})])
    assert publish(committer).items == 11
    assert_tables_hold(committer, {**OLD, "later": Item(2)})
    forth = roll_back(index, lease, "s00000002")
    assert forth.items == 11
    assert_tables_hold(Committer(index, two[0].generation, lease), NEW)


@pytest.mark.parametrize("after", range(1, 7))
def test_a_rollback_that_is_killed_is_undone_or_ended(
    index: Index, lease: Lease, two: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    changed(two[0])
    restore, left = lance.LanceDataset.restore, [after]

    def deadly(dataset: lance.LanceDataset) -> None:
        restore(dataset)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(lance.LanceDataset, "restore", deadly)
        with pytest.raises(Killed):
            roll_back(index, lease)
    published = index.latest()
    assert published is not None and published.snapshot_id == "s00000002"
    assert index.reader(published).items(["item_id"]).num_rows == 11
    last = after == len(two[0].generation.committed_tables)
    assert_tables_hold(Committer(index, two[0].generation, lease), OLD if last else NEW)
    roll_back(index, lease, "s00000001")
    assert_tables_hold(Committer(index, two[0].generation, lease), OLD)


def test_an_index_beyond_repair_goes_back_to_what_is_listed(
    index: Index, lease: Lease, two: tuple[Committer, Committer]
) -> None:
    served = two[0]
    changed(served)
    served._commit_table(ITEMS, [], [], new_mark(9))  # of which no other table knows
    with pytest.raises(StoreError, match="does not fit its items and no older version of it does"):
        Committer(index, served.generation, lease)
    assert roll_back(index, lease, "s00000001").items == 10
    assert_tables_hold(Committer(index, served.generation, lease), OLD)


def test_there_must_be_something_to_go_back_to(index: Index, lease: Lease, two: tuple[Committer, Committer]) -> None:
    with pytest.raises(StoreError, match="no snapshot before the published one"):
        roll_back(index, lease)
    with pytest.raises(StoreError, match="no snapshot 's9'"):
        roll_back(index, lease, "s9")


def test_retiring_frees_the_disk(index: Index, lease: Lease, two: tuple[Committer, Committer]) -> None:
    served, other = (committer.generation.name for committer in two)
    with pytest.raises(StoreError, match="is the one that is served"):
        retire_generation(index, lease, served)
    publish_generation(index, lease, other)
    with ReaderLease(index.uri) as reader:
        reader.hold({"s00000001"})
        with pytest.raises(StoreError, match=r"is being read \(s00000001\)"):
            retire_generation(index, lease, served)
        assert [snapshot.snapshot_id for snapshot in index.snapshots()] == ["s00000001", "s00000002"]
    assert list(Path(index.uri).glob(f"{served}.*"))
    retire_generation(index, lease, served)
    assert list(Path(index.uri).glob(f"{served}.*")) == []
    assert [generation.name for generation in index.generations()] == [other]
    assert [snapshot.generation for snapshot in index.snapshots()] == [other]
    with pytest.raises(StoreError, match="no generation"):
        retire_generation(index, lease, served)
    index.create_generation(checkpoint(seed=0), "/c0")
    assert len(index.generations()) == 2


@pytest.mark.parametrize("left", [["data"], ["_refs"], ["data", "_refs", "_transactions"], []], ids=str)
def test_a_retirement_that_is_killed_within_a_table(
    index: Index, lease: Lease, two: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch, left: list[str]
) -> None:
    served, other = (committer.generation.name for committer in two)
    publish_generation(index, lease, other)

    def deadly(uri: str) -> None:
        for folder in Path(uri).iterdir():
            if folder.name not in left:
                shutil.rmtree(folder)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(switch_module, "drop_dataset", deadly)
        with pytest.raises(Killed):
            retire_generation(index, lease, served)
    retire_generation(index, lease, served)
    assert list(Path(index.uri).glob(f"{served}.*")) == []
    assert [generation.name for generation in Index.open(index.uri).generations()] == [other]


def test_a_damaged_generation_can_be_retired(index: Index, lease: Lease, two: tuple[Committer, Committer]) -> None:
    served, other = (committer.generation.name for committer in two)
    shutil.rmtree(Path(index.table_uri(ITEMS, other)) / "_versions")
    retire_generation(index, lease, other)
    assert list(Path(index.uri).glob(f"{other}.*")) == []
    assert [generation.name for generation in Index.open(index.uri).generations()] == [served]


def test_a_retirement_that_is_overtaken_stops(
    index: Index, lease: Lease, two: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another process had taken over while this one was suspended, within a table's removal."""
    served, other = (committer.generation.name for committer in two)
    publish_generation(index, lease, other)
    drop = switch_module.drop_dataset

    def overtaken(uri: str) -> None:
        drop(uri)
        patch.setattr(Lease, "check", lost)

    def lost(_: Lease) -> None:
        raise ConflictError("taken over")

    with monkeypatch.context() as patch:
        patch.setattr(switch_module, "drop_dataset", overtaken)
        with pytest.raises(ConflictError):
            retire_generation(index, lease, served)
    assert len(list(Path(index.uri).glob(f"{served}.*"))) == len(two[0].generation.tables) - 1


def test_a_reader_of_a_snapshot_that_is_off_the_list_is_seen(
    index: Index, lease: Lease, two: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that leases between the first look and the list: the second look finds it, and so does every later call."""
    served, other = (committer.generation.name for committer in two)
    publish_generation(index, lease, other)
    off_the_list = switch_module.take_off_the_list
    with ReaderLease(index.uri) as reader:

        def lease_first(index: Index, snapshot_ids: set[str]) -> None:
            reader.hold({"s00000001"})
            off_the_list(index, snapshot_ids)

        with monkeypatch.context() as patch:
            patch.setattr(switch_module, "take_off_the_list", lease_first)
            with pytest.raises(StoreError, match=r"is being read \(s00000001\)"):
                retire_generation(index, lease, served)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"is being read \(s00000001\)"):
                retire_generation(index, lease, served)
            assert [snapshot.snapshot_id for snapshot in index.snapshots()] == ["s00000002"]
    retire_generation(index, lease, served)
    assert list(Path(index.uri).glob(f"{served}.*")) == []


def test_a_retirement_that_is_killed_is_ended_by_the_same_call(
    index: Index, lease: Lease, two: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, other = (committer.generation.name for committer in two)
    drop, left = lance.LanceDataset.drop, [3]

    def deadly(uri: str, ignore_not_found: bool = False) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        drop(uri, ignore_not_found=ignore_not_found)

    with monkeypatch.context() as patch:
        patch.setattr(lance.LanceDataset, "drop", deadly)
        with pytest.raises(Killed):
            retire_generation(index, lease, other)
    assert [generation.name for generation in Index.open(index.uri).generations()] == [served], (
        "it is not ingested into"
    )
    for use in (
        lambda: index.create_generation(checkpoint(seed=1), "/c"),
        lambda: publish_generation(index, lease, other),
    ):
        with pytest.raises(StoreError, match=f"half retired; end that.*: duet snapshots retire {other}"):
            use()
    retire_generation(index, lease, other)
    assert list(Path(index.uri).glob(f"{other}.*")) == []
    assert index.dataset(ITEMS, served).count_rows() == 11


def test_the_command(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    with Lease(index.uri) as lease:
        committers = [
            Committer(index, index.create_generation(checkpoint(seed=seed), f"/c{seed}"), lease) for seed in (0, 1)
        ]
        for committer in committers:
            committer.commit([receipt(committer, upserts=OLD)])
        publish(committers[0])
    other = committers[1].generation.name
    assert main(["--index", index.uri]) == 0
    assert f"generation {other} is not published: /c1" in capsys.readouterr().out
    assert main(["publish", other, "--index", index.uri]) == 0
    assert f"s00000002 of generation {other} is served: 10 items" in capsys.readouterr().out
    assert main(["rollback", "--index", index.uri]) == 0
    assert "s00000003" in capsys.readouterr().out
    assert main(["retire", other, "--index", index.uri]) == 0
    for arguments, message in ((["publish"], "needs the name of a generation"), (["list", "x"], "takes no name")):
        with pytest.raises(SystemExit):
            main([*arguments, "--index", index.uri])
        assert message in capsys.readouterr().err
