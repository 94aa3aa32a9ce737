"""Publishing: scalar indices brought up to date, versions tagged, one row in ``snapshots``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import lance
import pyarrow as pa
from lance.commit import CommitConflictError

from pipelines.errors import StoreError

from .committer import Committer, delete_rows
from .datasets import read_fragments, write_rows
from .naming import GLOBAL, ITEMS, PROTOTYPES, attribute_table
from .sentinel import read_mark
from .snapshot import IS_SENTINEL, Snapshot, sentinel_snapshot

# An index is extended once more than this share of a table's rows is outside it; a scan finds those until then.
_UNINDEXED_SHARE = 0.05


def publish(committer: Committer, checkpoint_uri: str | None = None) -> Snapshot:
    """Publish what is committed; nothing is done if the published snapshot is that already.

    Its versions are tagged with the snapshot's id and their number (``s00000001-v7``) before anybody can see it, so
    that no cleanup takes them away.

    Args:
        committer: of the generation to publish.
        checkpoint_uri: where its checkpoint lies now; None = where it lay when the generation was created.

    Raises:
        StoreError: another process has taken over, or published meanwhile; or the tables contradict each other.
    """
    committer.lease.check()
    index, generation = committer.index, committer.generation
    snapshots = index.dataset("snapshots")  # first: whoever publishes from here on makes this one fail
    checkpoint_uri = checkpoint_uri or generation.checkpoint_uri
    for dataset in committer.datasets.values():
        _extend_indices(dataset)
    committer.refresh()
    datasets = committer.datasets
    assert {read_mark(dataset) for dataset in datasets.values()} == {committer.mark}
    versions = {table: dataset.version for table, dataset in datasets.items()}
    counts = {table: dataset.count_rows() - 1 for table, dataset in datasets.items()}  # less the sentinel
    _check_counts(index.uri, counts)
    datasets[PROTOTYPES] = index.dataset(PROTOTYPES, generation.name)
    versions[PROTOTYPES], counts[PROTOTYPES] = datasets[PROTOTYPES].version, datasets[PROTOTYPES].count_rows()
    latest = index.latest(snapshots)
    if latest is not None and (latest.generation, latest.versions, latest.checkpoint_uri) == (
        generation.name,
        versions,
        checkpoint_uri,
    ):
        return latest
    number = 1 if latest is None else int(latest.snapshot_id.removeprefix("s")) + 1
    snapshot = Snapshot(
        snapshot_id=f"s{number:08d}",
        generation=generation.name,
        sequence=committer.sequence,
        versions=versions,
        counts=counts,
        model_digest=generation.model_digest,
        checkpoint_uri=checkpoint_uri,
        published_at=datetime.now(UTC),
        taxonomy=generation.taxonomy,
        preparation=generation.preparation,
        width=generation.width,
        class_width=generation.class_width,
        global_width=generation.global_width,
    )
    committer.lease.check()
    for dataset in datasets.values():
        _tag(dataset, f"{snapshot.snapshot_id}-v{dataset.version}")
    committer.lease.check()
    _append(snapshots, snapshot)
    return snapshot


def _check_counts(uri: str, counts: Mapping[str, int]) -> None:
    """Every item has one row in ``items``, in each table of an attribute and in ``global``."""
    per_item = {t: n for t, n in counts.items() if t in (ITEMS, GLOBAL) or t.startswith(attribute_table(""))}
    if len(set(per_item.values())) > 1:
        told = ", ".join(f"{table} {count:,}" for table, count in per_item.items())
        raise StoreError(
            f"the tables of {uri} have different numbers of rows ({told}), so nothing is published; what was "
            "published before stands. Ingest into a new index"
        )


def _append(snapshots: lance.LanceDataset, snapshot: Snapshot) -> None:
    """Put the row before the sentinel, which goes and comes again: of two that read the same, one is refused."""
    removed, updated = delete_rows(snapshots, IS_SENTINEL)
    rows = pa.concat_tables([snapshot.to_row(), sentinel_snapshot()])
    operation = lance.LanceOperation.Update(
        removed_fragment_ids=removed,
        updated_fragments=updated,
        new_fragments=read_fragments(write_rows(snapshots, rows)),
    )
    try:
        lance.LanceDataset.commit(snapshots, operation, read_version=snapshots.version)
    except CommitConflictError as error:
        raise StoreError(
            f"another process published while {snapshot.snapshot_id} was being published, so that is not; what is "
            "committed stays. Run this command again when nothing else writes to the index"
        ) from error


def _extend_indices(dataset: lance.LanceDataset) -> None:
    """Scalar indices: a tree over the ids, a bitmap over the classes. Vector indices have their place here, too."""
    wanted: dict[str, Literal["BTREE", "BITMAP"]] = {"item_id": "BTREE"}
    if "class" in dataset.schema.names:
        wanted["class"] = "BITMAP"
    have = {index.name for index in dataset.describe_indices()}
    rows = dataset.count_rows()
    for column, kind in wanted.items():
        name = f"{column}_{kind.lower()}"
        if name not in have:
            dataset.create_scalar_index(column, kind, name=name)
        else:
            outside = dataset.stats.index_stats(name)["num_unindexed_rows"]
            if outside > _UNINDEXED_SHARE * rows:
                dataset.optimize.optimize_indices(index_names=[name])


def _tag(dataset: lance.LanceDataset, tag: str) -> None:
    """Tags say their version, so that none is ever moved: one may be that of another process's snapshot."""
    if tag not in dataset.tags.list():  # else it was left by a run that was killed before it published
        dataset.tags.create(tag, dataset.version)
