"""Readers scan pinned snapshots while a writer commits, compacts, indexes, cleans up: nobody errs, nothing mixes."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping

import numpy as np
import pytest

from pipelines.errors import StoreError
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.naming import attribute_table
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.reader_lease import ReaderLease
from pipelines.index.retention import RetentionSettings
from pipelines.index.schema import LIVE
from pipelines.index.snapshot import Snapshot
from pipelines.index.store import Index
from pipelines.index.upkeep import UpkeepSettings
from pipelines.index.vector_index import VectorIndexSettings, nearest

from .support import TAXONOMY, Item, assert_tables_hold, checkpoint, receipt

pytestmark = pytest.mark.slow

BUSY = PublishSettings(
    upkeep=UpkeepSettings(
        fragments=2, unindexed_share=0.0, vector=VectorIndexSettings(rows=256, unindexed_share=0.0, parts=2)
    ),
    retention=RetentionSettings(snapshots=1, minutes=0, batch=1),
)
ROUNDS, READERS, ITEMS = 8, 2, 260


def check(index: Index, snapshot: Snapshot, state: Mapping[str, Item]) -> None:
    """All tables of the snapshot hold this state, and the vectors are of the looks that its items have."""
    reader = index.reader(snapshot)
    items = reader.items(["item_id", "image_hash"]).to_pylist()
    looks = {row["item_id"]: int(row["image_hash"]) for row in items}
    assert looks == {item_id: item.look for item_id, item in state.items()} and len(items) == len(state)
    for n, name in enumerate(TAXONOMY.names):
        table = attribute_table(name)
        rows = reader.attribute(name)
        assert sorted(rows["item_id"].to_pylist()) == sorted(state)
        vectors = np.asarray(rows["embedding"].combine_chunks().flatten().to_numpy()).reshape(len(rows), -1)
        for item_id, vector in zip(rows["item_id"].to_pylist(), vectors, strict=True):
            assert np.array_equal(vector, state[item_id].vector(table, "", 256))
        pairs = reader.class_rows(name).select(["item_id", "class"]).to_pylist()
        wanted = [(item_id, one) for item_id, item in state.items() for one in item.classes(n)]
        assert sorted((row["item_id"], row["class"]) for row in pairs) == sorted(wanted)
        # Items of one look have one vector: the nearest of any are of its own look, by the index as well.
        item_id = min(state)
        same = {other for other, item in state.items() if item.look == state[item_id].look}
        query = state[item_id].vector(table, "", 256).astype(np.float32)
        for exact in (True, False):
            found = nearest(reader.dataset(table), query, len(same), where=LIVE, exact=exact)
            assert set(found["item_id"].to_pylist()) == same


def test_readers_beside_a_writer(index: Index) -> None:
    dice, states, errors = random.Random(5), dict[str, dict[str, Item]](), list[BaseException]()
    state = {f"i{number:03d}": Item(dice.randrange(8)) for number in range(ITEMS)}
    done, reads = threading.Event(), [0] * READERS

    def read(number: int) -> None:
        own = Index.open(index.uri)
        try:
            with ReaderLease(index.uri) as lease:
                while not done.is_set():
                    snapshot = own.latest()
                    assert snapshot is not None
                    lease.hold({snapshot.snapshot_id})
                    if snapshot.snapshot_id not in {one.snapshot_id for one in own.snapshots()}:
                        continue  # it was retired before it was held
                    for _ in range(2):  # and again, when others have been published and cleaned up after it
                        check(own, snapshot, states[snapshot.snapshot_id])
                    reads[number] += 1
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test fails with it
            errors.append(error)

    with Lease(index.uri) as lease:
        committer = Committer(index, index.create_generation(checkpoint(), "/c"), lease)
        committer.commit([receipt(committer, upserts=state)])
        states["s00000001"] = dict(state)
        publish(committer, settings=BUSY)
        readers = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
        for reader in readers:
            reader.start()
        try:
            for step in range(ROUNDS):
                changes = {item_id: Item(dice.randrange(8)) for item_id in dice.sample(sorted(state), 12)}
                changes |= {f"n{step:03d}-{number}": Item(dice.randrange(8)) for number in range(4)}
                gone = dice.sample(sorted(state.keys() - changes.keys()), 4)
                committer.commit([receipt(committer, upserts=changes, deletes=gone)])
                state |= changes
                for item_id in gone:
                    del state[item_id]
                states[f"s{step + 2:08d}"] = dict(state)  # before anybody can see it
                publish(committer, settings=BUSY)
                assert not errors, errors
        finally:
            done.set()
            for reader in readers:
                reader.join()
        assert_tables_hold(committer, state)
    assert not errors, errors
    assert min(reads) >= 2
    assert len(index.snapshots()) <= READERS + 1, "old ones are retired, but for those that were held"


def test_a_reader_that_holds_nothing_is_told(index: Index) -> None:
    """Why there are leases: without one, a snapshot's files go while it is open."""
    with Lease(index.uri) as lease:
        committer = Committer(index, index.create_generation(checkpoint(), "/c"), lease)
        state = {f"i{number}": Item(number % 8) for number in range(20)}
        for number in range(3):
            committer.commit([receipt(committer, upserts=state | {"last": Item(number)})])
            first = index.snapshots()[0] if number else publish(committer, settings=BUSY)
            publish(committer, settings=BUSY)
    with pytest.raises(StoreError, match="cannot be opened"):
        Index.open(index.uri).reader(first).items()
