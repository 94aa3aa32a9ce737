"""Publishing: upkeep, the gate, versions tagged, one row in ``snapshots``."""

from __future__ import annotations

from datetime import UTC, datetime

import lance
import pyarrow as pa
from lance.commit import CommitConflictError

from cluster.settings import Section
from pipelines.errors import ConflictError

from .committer import Committer
from .datasets import beside, delete_rows, keep_version, read_fragments, write_rows
from .gate import Gate, GateSettings
from .naming import ITEMS, PROTOTYPES
from .retention import RetentionSettings, retire
from .sentinel import read_mark
from .snapshot import IS_SENTINEL, Snapshot, sentinel_snapshot
from .upkeep import UpkeepSettings, maintain


class PublishSettings(Section):
    """What happens when a snapshot is published."""

    upkeep: UpkeepSettings = UpkeepSettings()
    """When tables are compacted and indices built and extended."""
    gate: GateSettings = GateSettings()
    """What refuses a publication."""
    retention: RetentionSettings = RetentionSettings()
    """Which snapshots stay readable."""


def publish(
    committer: Committer,
    checkpoint_uri: str | None = None,
    *,
    fresh_at: datetime | None = None,
    settings: PublishSettings | None = None,
) -> Snapshot:
    """Bring the tables into order, pass the gate, and publish what is committed.

    Nothing is done if the published snapshot is that already. Its versions are tagged with the snapshot's id and their
    number (``s00000001-v7``) before anybody can see it, so that no cleanup takes them away. At the end, old snapshots
    are retired.

    Args:
        committer: of the generation to publish.
        checkpoint_uri: where its checkpoint lies now; None = where it lay when the generation was created.
        fresh_at: what was handed in before this time is committed; None = not known. It does not make a snapshot by
            itself: where nothing changed, that of the published one stands.
        settings: of upkeep, gate and retention.

    Raises:
        ConflictError: another process has taken over, or published meanwhile.
        GateError: the gate refuses, and says why.
    """
    settings = settings or PublishSettings()
    committer.lease.check()
    index, generation = committer.index, committer.generation
    snapshots = index.dataset("snapshots")  # first: whoever publishes from here on makes this one fail
    checkpoint_uri = checkpoint_uri or generation.checkpoint_uri
    report = maintain(committer, settings.upkeep)
    datasets = committer.datasets
    assert {read_mark(dataset) for dataset in datasets.values()} == {committer.mark}
    versions = {table: dataset.version for table, dataset in datasets.items()}
    counts = {table: dataset.count_rows() - 1 for table, dataset in datasets.items()}  # less the sentinel
    datasets[PROTOTYPES] = index.dataset(PROTOTYPES, generation.name)
    versions[PROTOTYPES], counts[PROTOTYPES] = datasets[PROTOTYPES].version, datasets[PROTOTYPES].count_rows()
    latest = index.latest(snapshots)
    if latest is not None and (latest.generation, latest.versions, latest.checkpoint_uri) == (
        generation.name,
        versions,
        checkpoint_uri,
    ):
        return latest
    gate = Gate(index.uri, committer.datasets, settings.gate)
    changed, committer.changed = committer.changed, None  # what is refused now is looked at in full the next time
    gate.check(
        changed=None if changed is None else sorted(changed),
        served_items=0 if latest is None else latest.items,
        indexed=list(committer.datasets) if changed is None else [*report.built, *report.inspected],
    )
    if latest is not None and latest.generation != generation.name and settings.gate.max_unseen < 1:
        gate.check_seen(index.dataset(ITEMS, latest.generation, latest.versions[ITEMS]))
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
        fresh_at=fresh_at,
        checks=gate.results,
        taxonomy=generation.taxonomy,
        preparation=generation.preparation,
        width=generation.width,
        class_width=generation.class_width,
        global_width=generation.global_width,
    )
    committer.lease.check()
    # A tag may be there: of a run that was killed before it published, or of another process's snapshot.
    beside(lambda table: keep_version(datasets[table], f"{snapshot.snapshot_id}-v{versions[table]}"), list(datasets))
    committer.lease.check()
    _append(snapshots, snapshot)
    committer.changed = set()
    retire(committer, settings.retention)
    return snapshot


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
        raise ConflictError(
            f"another process published while {snapshot.snapshot_id} was being published, so that is not; what is "
            "committed stays. Run this command again when nothing else writes to the index"
        ) from error
