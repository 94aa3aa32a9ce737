"""Publishing: scalar indices brought up to date, versions tagged, one row in ``snapshots``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import lance

from .committer import Committer
from .naming import PROTOTYPES
from .sentinel import read_mark
from .snapshot import Snapshot

# An index is extended once more than this share of a table's rows is outside it; a scan finds those until then.
_UNINDEXED_SHARE = 0.05


def publish(committer: Committer, checkpoint_uri: str | None = None) -> Snapshot:
    """Publish what is committed; nothing is done if the published snapshot is that already.

    Its versions are tagged with the snapshot's id before anybody can see it, so that no cleanup takes them away.

    Args:
        committer: of the generation to publish.
        checkpoint_uri: where its checkpoint lies now; None = where it lay when the generation was created.
    """
    index, generation = committer.index, committer.generation
    checkpoint_uri = checkpoint_uri or generation.checkpoint_uri
    for dataset in committer.datasets.values():
        _extend_indices(dataset)
    committer.refresh()
    datasets = committer.datasets
    assert {read_mark(dataset) for dataset in datasets.values()} == {committer.mark}
    versions = {table: dataset.version for table, dataset in datasets.items()}
    counts = {table: dataset.count_rows() - 1 for table, dataset in datasets.items()}  # less the sentinel
    datasets[PROTOTYPES] = index.dataset(PROTOTYPES, generation.name)
    versions[PROTOTYPES], counts[PROTOTYPES] = datasets[PROTOTYPES].version, datasets[PROTOTYPES].count_rows()
    latest = index.latest()
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
        global_width=generation.global_width,
        has_classes=generation.has_classes,
    )
    for dataset in datasets.values():
        _tag(dataset, snapshot.snapshot_id)
    lance.write_dataset(snapshot.to_row(), index.table_uri("snapshots"), mode="append")
    return snapshot


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
    if tag in dataset.tags.list():  # left by a run that was killed before it published
        dataset.tags.update(tag, dataset.version)
    else:
        dataset.tags.create(tag, dataset.version)
