from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import lance
import pyarrow.compute as pc
import pytest

from pipelines.errors import StoreError
from pipelines.index import lease as lease_module
from pipelines.index import publish as publish_module
from pipelines.index.committer import Committer
from pipelines.index.gate import GateSettings
from pipelines.index.lease import Lease
from pipelines.index.naming import GLOBAL, ITEMS, PROTOTYPES, attribute_table, class_table
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.retention import clean
from pipelines.index.sentinel import read_mark
from pipelines.index.store import Index
from pipelines.index.upkeep import UpkeepSettings

from .support import TAXONOMY, Item, assert_tables_hold, checkpoint, receipt

SOME = {f"i{number}": Item(number % 8) for number in range(30)}


def test_a_snapshot_says_what_is_in_it(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts=SOME, letters=["bad"], sequence=17)])
    snapshot = publish(committer, "/moved")
    assert (snapshot.snapshot_id, snapshot.sequence, snapshot.items) == ("s00000001", 17, 30)
    assert snapshot.counts["dead_letters"] == 1
    assert snapshot.counts[PROTOTYPES] == 4
    assert snapshot.counts[class_table(TAXONOMY.names[0])] == sum(len(item.classes(0)) for item in SOME.values())
    assert (snapshot.checkpoint_uri, snapshot.model_digest) == ("/moved", checkpoint().digest)
    assert abs(datetime.now(UTC) - snapshot.published_at) < timedelta(minutes=1)
    index = Index.open(committer.index.uri)
    assert index.latest() == index.snapshot("s00000001") == snapshot
    assert {
        read_mark(index.dataset(t, snapshot.generation, v)) for t, v in snapshot.versions.items() if t != PROTOTYPES
    } == {committer.mark}


def test_nothing_new_is_not_published_again(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    first = publish(committer)
    assert publish(committer) == first
    committer.commit([receipt(committer, deletes=["i0"])])
    second = publish(committer)
    assert (second.snapshot_id, second.items) == ("s00000002", 29)
    assert [snapshot.snapshot_id for snapshot in committer.index.snapshots()] == ["s00000001", "s00000002"]


def test_commits_are_seen_when_they_are_published_and_not_before(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    publish(committer)
    committer.commit([receipt(committer, upserts={"later": Item(1)})])
    latest = committer.index.latest()
    assert latest is not None and latest.items == 30


def test_tagged_versions_outlive_a_cleanup(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    old = publish(committer)
    committer.commit([receipt(committer, deletes=list(SOME)[16:])])
    publish(committer)
    for dataset in committer.datasets.values():
        lance.dataset(dataset.uri).cleanup_old_versions(
            timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False
        )
    reader = Index.open(committer.index.uri).reader(old)
    assert reader.items().num_rows == 30
    assert reader.attribute(TAXONOMY.names[1]).num_rows == 30
    for table, version in old.versions.items():
        assert reader.dataset(table).tags.get_version(f"s00000001-v{version}") == version


def test_a_run_that_was_killed_between_tags_and_row_can_be_published(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    with monkeypatch.context() as patch:
        patch.setattr(publish_module, "_append", crash)
        with pytest.raises(KeyboardInterrupt):
            publish(committer)
    assert committer.index.latest() is None
    snapshot = publish(committer)
    assert committer.index.latest() == snapshot
    tags = committer.index.reader(snapshot).dataset(ITEMS).tags.list()
    assert list(tags) == [f"s00000001-v{snapshot.versions[ITEMS]}"]


def crash(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def rivals(index: Index) -> Iterator[tuple[Committer, Committer]]:
    """A committer that was taken over after it had committed something, and the one that took over."""
    with ExitStack() as leases:
        first = leases.enter_context(Lease(index.uri))
        late = Committer(index, index.create_generation(checkpoint(), "/c"), first)
        late.commit([receipt(late, upserts={"a": Item(1)})])
        lease_module._held_here.clear()  # as in another process that has our number
        yield late, Committer(index, late.generation, leases.enter_context(Lease(index.uri)))


def meanwhile(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Do something once in the middle of the next publication: it has read everything and written nothing."""
    tag = publish_module.keep_version
    actions = [action]

    def then_tag(dataset: lance.LanceDataset, name: str) -> None:
        if actions:
            actions.pop()()
        tag(dataset, name)

    monkeypatch.setattr(publish_module, "keep_version", then_tag)


def test_whoever_was_taken_over_does_not_publish(rivals: tuple[Committer, Committer]) -> None:
    late, owner = rivals
    with pytest.raises(StoreError, match="taken over"):
        publish(late)
    assert owner.index.latest() is None
    assert publish(owner).items == 1


@pytest.mark.parametrize("checked", [True, False], ids=["by-the-lease", "by-the-row"])
def test_an_older_state_is_not_published_after_the_new_owners(
    rivals: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch, checked: bool
) -> None:
    """It is suspended between reading and publishing, or (without checks) even after it last looked at the lease."""
    late, owner = rivals

    def own() -> None:
        owner.commit([receipt(owner, upserts={"b": Item(2)})])
        publish(owner)
        monkeypatch.setattr(late.lease, "check", checks[checked])

    checks = {True: late.lease.check, False: lambda: None}
    monkeypatch.setattr(late.lease, "check", lambda: None)
    meanwhile(monkeypatch, own)
    with pytest.raises(StoreError, match="taken over" if checked else "another process published"):
        publish(late)
    (snapshot,) = owner.index.snapshots()
    assert snapshot.items == 2
    for table, version in snapshot.versions.items():
        dataset = owner.index.dataset(table, snapshot.generation)
        assert dataset.tags.get_version(f"s00000001-v{version}") == version


def test_an_owner_notices_that_somebody_published_before_it(
    rivals: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch
) -> None:
    late, owner = rivals
    monkeypatch.setattr(late.lease, "check", lambda: None)  # it woke just after it had looked

    def publish_late() -> None:
        late.refresh()
        publish(late)

    meanwhile(monkeypatch, publish_late)
    with pytest.raises(StoreError, match="another process published"):
        publish(owner)
    owner.commit([receipt(owner, upserts={"b": Item(2)})])
    assert (publish(owner).snapshot_id, publish(owner).items) == ("s00000002", 2)
    assert [snapshot.items for snapshot in owner.index.snapshots()] == [1, 2]


def test_what_was_tagged_by_whoever_was_taken_over_and_cleaned_away_is_not_published(
    rivals: tuple[Committer, Committer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is suspended when it has tagged everything, and wakes when the new owner has removed what it tagged."""
    late, owner = rivals
    monkeypatch.setattr(late.lease, "check", lambda: None)
    append = publish_module._append

    def clean_first(*arguments: Any) -> None:
        monkeypatch.setattr(publish_module, "_append", append)
        owner.refresh()
        owner.commit([receipt(owner, upserts={"b": Item(2)})])
        clean(owner)
        append(*arguments)

    monkeypatch.setattr(publish_module, "_append", clean_first)
    with pytest.raises(StoreError, match="another process published while s00000001 was being published"):
        publish(late)
    monkeypatch.undo()
    assert owner.index.latest() is None
    assert publish(owner).items == 2


@pytest.mark.parametrize("table", [GLOBAL, attribute_table(TAXONOMY.names[1])])
def test_tables_of_different_lengths_are_not_published(committer: Committer, table: str) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    first = publish(committer)
    whole = receipt(committer, upserts={"new": Item(1)})
    committer.commit([replace(whole, fragments={**whole.fragments, table: ()})])
    with pytest.raises(StoreError, match=rf"table {re.escape(table)} lacks 1 items, such as 'new'"):
        publish(committer)
    assert committer.index.latest() == first


def test_ids_and_classes_are_indexed_and_the_index_is_extended(committer: Committer) -> None:
    table = class_table(TAXONOMY.names[1])

    def publish_with(share: float) -> dict[str, int]:
        publish(committer, settings=PublishSettings(upkeep=UpkeepSettings(unindexed_share=share)))
        dataset = committer.datasets[table]
        return {i.name: dataset.stats.index_stats(i.name)["num_unindexed_rows"] for i in dataset.describe_indices()}

    committer.commit([receipt(committer, upserts=SOME)])
    assert publish_with(0.05) == {"item_id_btree": 0, "class_bitmap": 0}
    plan = committer.datasets[table].scanner(filter=pc.field("class") == "it's").explain_plan()
    assert "ScalarIndexQuery" in plan
    plan = committer.datasets[ITEMS].scanner(filter=pc.field("item_id").isin(["i1", "o'clock"])).explain_plan()
    assert "ScalarIndexQuery" in plan
    committer.commit([receipt(committer, upserts={"one": Item(1)})])
    assert publish_with(0.5)["item_id_btree"] > 0, "a handful is not worth it"
    committer.commit([receipt(committer, upserts={"two": Item(2)})])
    assert publish_with(0.0) == {"item_id_btree": 0, "class_bitmap": 0}
    assert_tables_hold(committer, {**SOME, "one": Item(1), "two": Item(2)})


def test_freshness_and_checks_are_said(committer: Committer) -> None:
    now = datetime.now(UTC)
    committer.commit([receipt(committer, upserts=SOME)])
    snapshot = publish(committer, fresh_at=now)
    assert Index.open(committer.index.uri).latest() == snapshot
    assert snapshot.fresh_at == now and snapshot.checks["checked items"] == 30
    assert snapshot.checks.keys() == {"loss", "checked items", "norm"}, "what is not measured is not said"
    committer.commit([receipt(committer, upserts={"one": Item(1)}, deletes=["i0"])])
    snapshot = publish(committer)
    assert snapshot.fresh_at is None and snapshot.checks["checked items"] == 2


def test_two_generations_stand_side_by_side(index: Index) -> None:
    settings = PublishSettings(gate=GateSettings(max_unseen=1))  # they hold different items
    with Lease(index.uri) as lease:
        committers = [
            Committer(index, index.create_generation(checkpoint(seed=seed), f"/c{seed}"), lease) for seed in (0, 1)
        ]
        for number, committer in enumerate(committers):
            committer.commit([receipt(committer, upserts={f"of {number}": Item(number)})])
            publish(committer, settings=settings)
        first, second = index.snapshots()
        assert first.generation != second.generation
        assert index.latest() == second
        assert index.reader(first).items(["item_id"])["item_id"].to_pylist() == ["of 0"]
        back = publish(committers[0], settings=settings)  # a rollback is one row
        assert (back.generation, back.versions, back.snapshot_id) == (first.generation, first.versions, "s00000003")
        assert index.latest() == back
