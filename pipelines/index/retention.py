"""Retention: older snapshots are retired, and what nobody can read any more leaves the disk."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import lance
from pydantic import Field

from cluster.settings import Section

from .committer import Committer
from .datasets import delete_rows, read_fragments, write_rows
from .reader_lease import leased_snapshots
from .schema import is_one_of
from .snapshot import IS_SENTINEL, Snapshot, sentinel_snapshot
from .store import Index

_READERS_GRACE = timedelta(minutes=10)  # of versions of ``snapshots``: somebody may just be reading one
_LIST_FRAGMENTS = 32  # of ``snapshots``, from which on they are merged


class RetentionSettings(Section):
    """Which snapshots stay readable. The published one does, and so does one that a reader holds."""

    snapshots: int = Field(3, ge=1)
    """The last so many stay."""
    minutes: float = Field(60, ge=0)
    """One that was superseded less than this time ago stays as well; whoever pages through results has as long."""
    batch: int = Field(8, ge=1)
    """Snapshots that are retired together: each time lists every table's files."""


def retire(committer: Committer, settings: RetentionSettings) -> tuple[str, ...]:
    """Retire old snapshots, if there are enough of them, and remove what only they read; the ids of those retired.

    Versions that belong to no snapshot go, too; the latest of each table stays, published or not. Files that were
    written and never committed stay for seven days, or until an ingestion finds that a run before it was killed on
    this machine or ended by an error, and begins with `remove_orphans`.

    Raises:
        StoreError: another process has taken over.
    """
    index = committer.index
    _merge_list(index)
    old = _old(index.snapshots(), settings, leased_snapshots(index.uri))
    if len(old) < settings.batch:
        return ()
    clean(committer, old)
    return old


def clean(committer: Committer, retired: Collection[str] = ()) -> int:
    """Remove the versions of a generation that no snapshot, reader or running ingestion needs; bytes removed.

    Args:
        committer: of the generation.
        retired: ids of snapshots that go.

    Raises:
        StoreError: another process has taken over.
    """
    committer.lease.check()
    index, generation = committer.index, committer.generation
    # In this order: whoever leases a snapshot looks afterwards whether it is still on the list.
    take_off_the_list(index, retired)
    listed = {snapshot.snapshot_id for snapshot in index.snapshots()}
    kept = listed | leased_snapshots(index.uri)
    newest = max(listed, default="")
    removed = 0
    for table in generation.tables:
        committer.lease.check()  # before each: whoever has taken over tags what this list does not have
        dataset = index.dataset(table, generation.name)
        for tag in dataset.tags.list():
            snapshot_id = tag.partition("-")[0]
            coming = snapshot_id.startswith("s") and snapshot_id > newest  # it is about to be published
            if snapshot_id not in kept and tag not in committer.pins and not coming:
                dataset.tags.delete(tag)
        needed = {dataset.version, *(tag["version"] for tag in dataset.tags.list().values())}
        gone = [version["version"] for version in dataset.versions() if version["version"] not in needed]
        if gone:
            stats = dataset.cleanup_old_versions(versions=gone, error_if_tagged_old_versions=False)
            removed += stats.bytes_removed
    return removed


def remove_orphans(committer: Committer) -> int:
    """Remove what ended runs wrote and never committed, from every generation; bytes removed.

    Call it if the lease says that there may be such files, while no worker of this run writes. What a worker of an
    ended run still writes is harmless: nobody commits it.

    Raises:
        StoreError: another process has taken over.
    """
    index, lease = committer.index, committer.lease
    removed = 0
    for generation in index.generations():
        for table in generation.committed_tables:
            lease.check()  # before each, since files of whoever took over would go as well
            # No version is old enough for it; files that belong to none are removed at any age.
            stats = index.dataset(table, generation.name).cleanup_old_versions(
                timedelta(days=36500), delete_unverified=True, error_if_tagged_old_versions=False
            )
            removed += stats.bytes_removed
    lease.forget_orphans()
    return removed


def _old(snapshots: Collection[Snapshot], settings: RetentionSettings, leased: Collection[str]) -> tuple[str, ...]:
    ordered = sorted(snapshots, key=lambda snapshot: snapshot.snapshot_id)
    since = datetime.now(UTC) - timedelta(minutes=settings.minutes)
    # One is superseded when the next is published; until then it is what everybody reads.
    superseded = {one.snapshot_id: following.published_at for one, following in pairwise(ordered)}
    return tuple(
        snapshot.snapshot_id
        for snapshot in ordered[: -settings.snapshots]
        if superseded[snapshot.snapshot_id] < since and snapshot.snapshot_id not in leased
    )


def take_off_the_list(index: Index, snapshot_ids: Collection[str]) -> None:
    """Remove rows of ``snapshots``, and renew its sentinel.

    By the sentinel a process that was taken over in the middle of a publication is refused its row: its tags, and the
    versions that they kept, are about to go.
    """
    dataset = index.dataset("snapshots")
    removed, updated = delete_rows(dataset, IS_SENTINEL | is_one_of("snapshot_id", snapshot_ids))
    operation = lance.LanceOperation.Update(
        removed_fragment_ids=removed,
        updated_fragments=updated,
        new_fragments=read_fragments(write_rows(dataset, sentinel_snapshot())),
    )
    lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)
    # Each publication leaves a version, however few fragments there are.
    index.dataset("snapshots").cleanup_old_versions(_READERS_GRACE)


def _merge_list(index: Index) -> None:
    """Keep ``snapshots`` in few files: whoever looks for the last row opens them all, in as many threads."""
    dataset = index.dataset("snapshots")
    if len(dataset.get_fragments()) >= _LIST_FRAGMENTS:
        dataset.optimize.compact_files()
        dataset.cleanup_old_versions(_READERS_GRACE)
