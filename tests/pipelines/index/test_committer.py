from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import lance
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lance.commit import CommitConflictError

from pipelines.errors import StoreError
from pipelines.index import lease as lease_module
from pipelines.index.committer import Committer
from pipelines.index.datasets import delete_rows, read_fragments, write_rows
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS
from pipelines.index.publish import publish
from pipelines.index.receipt import Receipt
from pipelines.index.schema import LIVE, is_one_of
from pipelines.index.sentinel import IS_SENTINEL, new_mark, read_mark, sentinel_row
from pipelines.index.store import Index

from .support import HOSTILE_IDS, Item, assert_tables_hold, checkpoint, receipt

IDS = st.sampled_from([f"item{number}" for number in range(12)] + list(HOSTILE_IDS[:4]))
ITEMS = st.builds(Item, st.integers(0, 7), st.sampled_from(("round", "v-neck")))


class Crash(BaseException):
    """Stands for the end of the process."""


def test_a_random_program_leaves_what_a_dict_would(committer: Committer) -> None:
    dice = random.Random(3)
    state: dict[str, Item] = {}
    ids = [f"id-{number}" for number in range(40)] + list(HOSTILE_IDS)
    for step in range(14):
        chosen = dice.sample(ids, 12)
        upserts = {item_id: Item(dice.randrange(8)) for item_id in chosen[:6]}
        deletes = chosen[6:9]
        relabels = {i: Item(state[i].look, f"label{step}") for i in chosen[9:] if i in state}
        committer.commit([receipt(committer, upserts=upserts, deletes=deletes, relabels=relabels)])
        state |= upserts | relabels
        for item_id in deletes:
            state.pop(item_id, None)
        if step % 8 == 0:
            publish(committer)  # with indices, so that later commits go through them
        assert_tables_hold(committer, state)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(IDS, ITEMS | st.none(), max_size=5), min_size=1, max_size=4))
def test_any_program_leaves_what_a_dict_would(index: Index, program: list[dict[str, Item | None]]) -> None:
    with Lease(index.uri) as lease:
        committer = Committer(index, index.create_generation(checkpoint(), "/c"), lease)
        present = committer.datasets["items"].to_table(columns=["item_id"], filter=LIVE)["item_id"].to_pylist()
        committer.commit([Receipt(committer.sequence + 1, replaced=tuple(present))])  # a table for each example
        state: dict[str, Item] = {}
        for step in program:
            upserts = {item_id: item for item_id, item in step.items() if item is not None}
            deletes = [item_id for item_id, item in step.items() if item is None]
            committer.commit([receipt(committer, upserts=upserts, deletes=deletes)])
            state = {**state, **upserts}
            for item_id in deletes:
                state.pop(item_id, None)
        assert_tables_hold(committer, state)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=60), min_size=2, unique=True)
)
def test_any_text_without_control_characters_is_an_id(committer: Committer, item_ids: list[str]) -> None:
    everything = {item_id: Item(n % 8) for n, item_id in enumerate(item_ids)}
    first = item_ids[0]
    committer.commit([receipt(committer, upserts=everything)])
    committer.commit([receipt(committer, deletes=[first])])
    table = committer.datasets["items"].to_table(filter=LIVE & is_one_of("item_id", item_ids))
    assert sorted(table["item_id"].to_pylist()) == sorted(item_ids[1:])
    committer.commit([receipt(committer, deletes=item_ids)])
    assert_tables_hold(committer, {})


@pytest.mark.parametrize("item_id", ["", "\x01", "\x00a", "\n"])
def test_an_id_that_could_be_the_sentinels_is_refused(committer: Committer, item_id: str) -> None:
    with pytest.raises(StoreError, match="control character"):
        committer.commit([Receipt(1, replaced=("fine", item_id))])
    assert_tables_hold(committer, {})


def test_hostile_ids_are_only_ids(committer: Committer) -> None:
    everything = {item_id: Item(n % 8) for n, item_id in enumerate([*HOSTILE_IDS, "plain"])}
    committer.commit([receipt(committer, upserts=everything)])
    publish(committer)
    for item_id in HOSTILE_IDS:
        committer.commit([receipt(committer, deletes=[item_id])])
        del everything[item_id]
        assert_tables_hold(committer, everything)


def test_several_receipts_are_one_commit(committer: Committer) -> None:
    before = {table: dataset.version for table, dataset in committer.datasets.items()}
    first = receipt(committer, upserts={"a": Item(1)}, sequence=4)
    second = receipt(committer, upserts={"b": Item(2)}, sequence=5)
    committer.commit([first, second])
    assert committer.sequence == 5
    assert {table: dataset.version - before[table] for table, dataset in committer.datasets.items()} == dict.fromkeys(
        before, 1
    )
    assert_tables_hold(committer, {"a": Item(1), "b": Item(2)})


def test_committing_a_receipt_again_changes_nothing(committer: Committer) -> None:
    """A receipt may be committed twice if a commit's answer was lost."""
    again = receipt(committer, upserts={"a": Item(1)})
    committer.commit([again])
    committer.commit([again])
    assert_tables_hold(committer, {"a": Item(1)})


def test_dead_letters_count_attempts_and_go_when_the_item_comes(committer: Committer) -> None:
    def letters() -> list[tuple[str, int]]:
        table = committer.datasets[DEAD_LETTERS].to_table(filter=LIVE)
        return sorted(zip(table["item_id"].to_pylist(), table["attempt"].to_pylist(), strict=True))

    committer.commit([receipt(committer, upserts={"good": Item(1)}, letters=["bad", "worse"])])
    committer.commit([receipt(committer, letters=["bad"])])
    assert letters() == [("bad", 1), ("bad", 2), ("worse", 1)]
    committer.commit([receipt(committer, upserts={"bad": Item(2)}, letters=["good"])])
    assert letters() == [("good", 1), ("worse", 1)]
    assert_tables_hold(committer, {"good": Item(1), "bad": Item(2)})  # a refused item keeps what it had
    committer.commit([Receipt(committer.sequence + 1, cleared=("good",))])
    assert letters() == [("worse", 1)]
    assert_tables_hold(committer, {"good": Item(1), "bad": Item(2)})


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("tables", range(7))
def test_a_commit_that_never_ended_is_undone_or_whole(
    index: Index, monkeypatch: pytest.MonkeyPatch, tables: int, after: bool
) -> None:
    """The process ends before or after the commit of any of the tables; the next one finds a whole state."""
    old, new = {"a": Item(1), "b": Item(2)}, {"a": Item(5), "c": Item(3)}
    with Lease(index.uri) as lease:
        committer = Committer(index, index.create_generation(checkpoint(), "/c"), lease)
        committer.commit([receipt(committer, upserts=old)])
        assert len(committer.generation.committed_tables) == 7
        change = receipt(committer, upserts=new, deletes=["b"], sequence=committer.sequence)
        commit, calls = lance.LanceDataset.commit, 0

        def crash(*arguments: Any, **options: Any) -> lance.LanceDataset:
            nonlocal calls
            calls += 1
            if calls <= tables:
                return commit(*arguments, **options)
            if after:
                commit(*arguments, **options)
            raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(lance.LanceDataset, "commit", staticmethod(crash))
            with pytest.raises(Crash):
                committer.commit([change])
    with Lease(index.uri) as lease:
        again = Committer(index, index.generations()[0], lease)
        assert_tables_hold(again, new if after and tables == 6 else old)  # `items`, the last one, decides
        again.commit([receipt(again, upserts=new, deletes=["b"])])
        assert_tables_hold(again, new)
        assert publish(again).counts["items"] == 2


@contextmanager
def taken_over(index: Index) -> Iterator[tuple[Committer, Receipt, Lease]]:
    """A committer of {a} whose lease another one has now, a receipt that it still means to commit, and that lease."""
    with Lease(index.uri) as first:
        zombie = Committer(index, index.create_generation(checkpoint(), "/c"), first)
        zombie.commit([receipt(zombie, upserts={"a": Item(1)})])
        late = receipt(zombie, upserts={"a": Item(2), "new": Item(2)})
        lease_module._held_here.clear()  # as in another process that has our number
        with Lease(index.uri) as second:
            yield zombie, late, second


@pytest.mark.parametrize("checked", [True, False], ids=["by-the-lease", "by-the-sentinel"])
def test_a_committer_that_was_taken_over_can_commit_nothing(
    index: Index, monkeypatch: pytest.MonkeyPatch, checked: bool
) -> None:
    """A process was suspended, its lease ran out, another one committed; then it wakes up."""
    with taken_over(index) as (zombie, late, second):
        owner = Committer(index, zombie.generation, second)
        with pytest.raises(StoreError, match="taken over"):  # also before the owner has committed anything
            zombie.commit([late])
        assert_tables_hold(owner, {"a": Item(1)})
        owner.commit([receipt(owner, upserts={"a": Item(3), "new": Item(3)})])
        if not checked:
            monkeypatch.setattr(zombie.lease, "check", lambda: None)
        with pytest.raises(StoreError, match="taken over" if checked else "another writer"):
            zombie.commit([late])
        assert_tables_hold(owner, {"a": Item(3), "new": Item(3)})
        owner.commit([receipt(owner, upserts={"b": Item(4)})])
        assert_tables_hold(owner, {"a": Item(3), "new": Item(3), "b": Item(4)})


def test_a_commit_of_a_zombie_that_came_through_is_undone(index: Index) -> None:
    """It woke between the owner's start and its first commit; the owner stops, and the next run repairs."""
    with taken_over(index) as (zombie, late, second):
        owner = Committer(index, zombie.generation, second)
        table = zombie.generation.committed_tables[1]
        zombie._commit_table(table, late.replaced, late.fragments[table], "0" * 20 + "-zombie")
        with pytest.raises(StoreError, match="another writer"):
            owner.commit([receipt(owner, upserts={"b": Item(4)})])
    with Lease(index.uri) as third:
        repaired = Committer(index, zombie.generation, third)
        assert_tables_hold(repaired, {"a": Item(1)})
        repaired.commit([receipt(repaired, upserts={"b": Item(4)})])
        assert_tables_hold(repaired, {"a": Item(1), "b": Item(4)})


def test_a_zombie_that_only_slept_is_shut_out_before_the_owner_commits(index: Index) -> None:
    """Its lease ran out while it lived: every sentinel is written anew, so that nothing it began comes through."""
    with taken_over(index) as (zombie, late, second):
        second.predecessor = "silent"
        owner = Committer(index, zombie.generation, second)
        assert owner.mark == zombie.mark
        for table in zombie.generation.committed_tables:
            dataset, version = zombie.datasets[table], owner.datasets[table].version
            # Not even one that would not ask the lease, nor look at the mark.
            removed, updated = delete_rows(dataset, IS_SENTINEL)
            operation = lance.LanceOperation.Update(
                removed_fragment_ids=removed,
                updated_fragments=updated,
                new_fragments=read_fragments(late.fragments.get(table, ())),
            )
            with pytest.raises(CommitConflictError):
                lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)
            assert lance.dataset(dataset.uri).version == version
        assert_tables_hold(owner, {"a": Item(1)})
        owner.commit([receipt(owner, upserts={"b": Item(4)})])
        assert_tables_hold(owner, {"a": Item(1), "b": Item(4)})


@pytest.mark.parametrize("tables", [slice(1, 2), slice(6, 7), slice(0, 7)], ids=["one", "items", "all"])
def test_a_commit_beside_which_the_sentinel_stayed_is_undone(index: Index, tables: slice) -> None:
    """Lance sees no conflict with versions that were cleaned away: a commit that slept so long leaves two sentinels."""
    with Lease(index.uri) as lease:
        generation = index.create_generation(checkpoint(), "/c")
        committer = Committer(index, generation, lease)
        committer.commit([receipt(committer, upserts={"a": Item(1), "b": Item(2)})])
        late = receipt(committer, upserts={"a": Item(5)})
        for table in generation.committed_tables[tables]:
            dataset = committer.datasets[table]
            fragments = [
                *late.fragments.get(table, ()),
                *write_rows(dataset, sentinel_row(dataset.schema, new_mark(9))),
            ]
            append = lance.LanceOperation.Append(read_fragments(fragments))
            lance.LanceDataset.commit(dataset, append, read_version=dataset.version)
            assert read_mark(lance.dataset(dataset.uri)) is None
        again = Committer(index, generation, lease)
        assert_tables_hold(again, {"a": Item(1), "b": Item(2)})
        again.commit([receipt(again, upserts={"a": Item(5)})])
        assert_tables_hold(again, {"a": Item(5), "b": Item(2)})


def test_a_change_that_keeps_the_rows_is_no_obstacle(committer: Committer) -> None:
    """Compaction beside a commit: the deletion vectors are found again, the written fragments serve."""
    for number in range(4):
        committer.commit([receipt(committer, upserts={f"i{number}": Item(number)})])
    change = receipt(committer, upserts={"i0": Item(7)})
    for dataset in committer.datasets.values():
        lance.dataset(dataset.uri).optimize.compact_files()
    committer.commit([change])
    assert_tables_hold(committer, {"i0": Item(7), "i1": Item(1), "i2": Item(2), "i3": Item(3)})


def test_tables_that_no_version_makes_whole_are_refused(index: Index) -> None:
    with Lease(index.uri) as lease:
        generation = index.create_generation(checkpoint(), "/c")
        committer = Committer(index, generation, lease)
        committer.commit([receipt(committer, upserts={"a": Item(1)})])
        table = generation.committed_tables[2]
        committer._commit_table(table, [], [], "0" * 20 + "-foreign")
        lance.dataset(index.table_uri(table, generation.name)).cleanup_old_versions(timedelta(0))
        with pytest.raises(StoreError, match="no older version"):
            Committer(index, generation, lease)
