from __future__ import annotations

from datetime import UTC, datetime, timedelta

import lance
import pyarrow.compute as pc
import pytest

from pipelines.index import publish as publish_module
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS, PROTOTYPES, class_table
from pipelines.index.publish import publish
from pipelines.index.sentinel import read_mark
from pipelines.index.store import Index

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
    committer.commit([receipt(committer, deletes=list(SOME)[1:])])
    publish(committer)
    for dataset in committer.datasets.values():
        lance.dataset(dataset.uri).cleanup_old_versions(
            timedelta(0), delete_unverified=True, error_if_tagged_old_versions=False
        )
    reader = Index.open(committer.index.uri).reader(old)
    assert reader.items().num_rows == 30
    assert reader.attribute(TAXONOMY.names[1]).num_rows == 30
    for table, version in old.versions.items():
        assert reader.dataset(table).tags.get_version("s00000001") == version


def test_a_run_that_was_killed_between_tags_and_row_can_be_published(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    for dataset in committer.datasets.values():
        dataset.tags.create("s00000001", 1)
    snapshot = publish(committer)
    dataset = committer.index.reader(snapshot).dataset(ITEMS)
    assert dataset.tags.get_version("s00000001") == snapshot.versions[ITEMS]


def test_ids_and_classes_are_indexed_and_the_index_is_extended(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = class_table(TAXONOMY.names[1])

    def unindexed() -> dict[str, int]:
        dataset = committer.datasets[table]
        return {i.name: dataset.stats.index_stats(i.name)["num_unindexed_rows"] for i in dataset.describe_indices()}

    committer.commit([receipt(committer, upserts=SOME)])
    publish(committer)
    assert unindexed() == {"item_id_btree": 0, "class_bitmap": 0}
    plan = committer.datasets[table].scanner(filter=pc.field("class") == "it's").explain_plan()
    assert "ScalarIndexQuery" in plan
    plan = committer.datasets[ITEMS].scanner(filter=pc.field("item_id").isin(["i1", "o'clock"])).explain_plan()
    assert "ScalarIndexQuery" in plan
    committer.commit([receipt(committer, upserts={"one": Item(1)})])
    monkeypatch.setattr(publish_module, "_UNINDEXED_SHARE", 0.5)
    publish(committer)
    assert unindexed()["item_id_btree"] > 0, "a handful is not worth it"
    monkeypatch.setattr(publish_module, "_UNINDEXED_SHARE", 0.0)
    committer.commit([receipt(committer, upserts={"two": Item(2)})])
    publish(committer)
    assert unindexed() == {"item_id_btree": 0, "class_bitmap": 0}
    assert_tables_hold(committer, {**SOME, "one": Item(1), "two": Item(2)})


def test_two_generations_stand_side_by_side(index: Index) -> None:
    with Lease(index.uri) as lease:
        committers = [
            Committer(index, index.create_generation(checkpoint(seed=seed), f"/c{seed}"), lease) for seed in (0, 1)
        ]
        for number, committer in enumerate(committers):
            committer.commit([receipt(committer, upserts={f"of {number}": Item(number)})])
            publish(committer)
        first, second = index.snapshots()
        assert first.generation != second.generation
        assert index.latest() == second
        assert index.reader(first).items(["item_id"])["item_id"].to_pylist() == ["of 0"]
        back = publish(committers[0])  # a rollback is one row
        assert (back.generation, back.versions, back.snapshot_id) == (first.generation, first.versions, "s00000003")
        assert index.latest() == back
