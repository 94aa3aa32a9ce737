"""Switching what is served: to another generation, back to an earlier snapshot, and away from a generation for good."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import lance
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import StoreError

from .committer import Committer
from .datasets import delete_rows, drop_dataset, read_fragments, write_rows
from .generation import Generation
from .lease import Lease
from .naming import ITEMS
from .publish import PublishSettings, publish
from .reader_lease import leased_snapshots
from .requests import Request, Requests
from .retention import take_off_the_list
from .sentinel import read_mark
from .snapshot import Snapshot
from .store import Index

log = logging.getLogger("duet.index")

ANY_ITEMS: dict[str, float | None] = {"max_loss": 1.0, "max_growth": None, "max_unseen": 1.0}
"""Bounds of the gate for a rollback: other items than now are what is wanted."""


def publish_generation(
    index: Index, lease: Lease, name: str, settings: PublishSettings | None = None, request: Request | None = None
) -> Snapshot:
    """Publish what is committed of a generation, whichever is served now: one row, which readers follow.

    Args:
        index: of the generation.
        lease: held.
        name: of the generation.
        settings: of upkeep, gate and retention.
        request: that asks for it, which is written down before.

    Raises:
        StoreError: there is no such generation, nothing is in it, or the gate refuses.
    """
    committer = Committer(index, _live(index, name), lease)
    if not committer.sequence:
        raise StoreError(f"generation {name} of {index.uri} is empty: `duet ingest --generation new` fills it")
    last = index.latest(generation=name)
    if request is not None:
        Requests(index).begin(request, name, committer.mark)
    return publish(committer, None if last is None else last.checkpoint_uri, settings=settings)


def roll_back(
    index: Index,
    lease: Lease,
    snapshot_id: str | None = None,
    settings: PublishSettings | None = None,
    request: Request | None = None,
) -> Snapshot:
    """Serve an earlier snapshot again, and go on from there: what its generation got since is undone.

    Readers switch by one row. The tables are taken back as well, since the next ingestion would otherwise bring back
    what is being undone; it embeds those items again if its manifest still has them.

    Args:
        index: of the snapshot.
        lease: held.
        snapshot_id: None = the last one before the published one that was not taken back itself (`before_published`).
        settings: of upkeep, gate and retention; any number of items may go.
        request: that asks for it, which is written down before.

    Raises:
        StoreError: there is no such snapshot any more, or none before the published one.
    """
    target = before_published(index.snapshots()) if snapshot_id is None else index.snapshot(snapshot_id)
    if target is None:
        raise StoreError(f"{index.uri} has no snapshot before the published one")
    generation = _live(index, target.generation)
    committer: Committer | None = None
    try:
        committer = Committer(index, generation, lease)
    except StoreError as error:  # beyond repair; this is what is left
        log.warning("%s; going back to %s all the same", error, target.snapshot_id)
    datasets = {
        table: index.dataset(table, generation.name, target.versions[table]) for table in generation.committed_tables
    }
    marks = {read_mark(dataset) for dataset in datasets.values()}
    if request is not None:
        Requests(index).begin(request, generation.name, read_mark(datasets[ITEMS]) or "")
    if committer is None or marks != {committer.mark}:
        # ``items`` last: until then a run that is killed here is repaired to where it began (`Committer`).
        for dataset in datasets.values():
            lease.check()
            dataset.restore()
        committer = Committer(index, generation, lease)
    settings = settings or PublishSettings()
    gate = settings.gate.model_copy(update=ANY_ITEMS)
    settings = settings.model_copy(update={"gate": gate})
    return publish(committer, target.checkpoint_uri, fresh_at=target.fresh_at, settings=settings)


def before_published(snapshots: Sequence[Snapshot]) -> Snapshot | None:
    """What a rollback goes back to: one step further after each, and never to what an earlier one took back.

    Args:
        snapshots: of an index, the published one last.

    Returns:
        None if there is none.
    """
    steps: list[Snapshot] = []
    for snapshot in snapshots:
        content = snapshot.generation, snapshot.sequence
        for place, step in enumerate(steps):
            if (step.generation, step.sequence) == content:  # it is served again: what came after is taken back
                del steps[place:]
                break
        steps.append(snapshot)
    return steps[-2] if len(steps) > 1 else None


def retire_generation(index: Index, lease: Lease, name: str) -> None:
    """Remove a generation and everything in it. Killed on its way, it is ended by the same call.

    Raises:
        StoreError: it is served, somebody reads it, or there is none of that name.
    """
    lease.check()
    generation = index.generation(name)
    latest = index.latest()
    if latest is not None and latest.generation == name:
        raise StoreError(f"generation {name} is the one that is served; publish another one first")
    snapshots = index.snapshots()
    own = {snapshot.snapshot_id for snapshot in snapshots if snapshot.generation == name}
    read = own | (_tagged(index, generation) - {snapshot.snapshot_id for snapshot in snapshots})
    held = read & leased_snapshots(index.uri)
    if not held:
        # Off the list, and then another look: whoever leases a snapshot looks afterwards whether it is still listed.
        take_off_the_list(index, own)
        held = read & leased_snapshots(index.uri)
    if held:
        raise StoreError(f"generation {name} is being read ({', '.join(sorted(held))}); run this again when it is not")
    lease.check()
    _rewrite(index, name, replace(generation, retired=True).to_row())
    for table in generation.tables:
        lease.check()  # whoever has taken over may have ended this, and begun the generation anew
        drop_dataset(index.table_uri(table, name))
    lease.check()
    _rewrite(index, name, None)


def _tagged(index: Index, generation: Generation) -> set[str]:
    """Ids of the snapshots that have versions of a generation, listed or not; none where it cannot be opened."""
    try:
        return {tag.partition("-")[0] for tag in index.dataset(ITEMS, generation.name).tags.list()}
    except StoreError:
        return set()


def _live(index: Index, name: str) -> Generation:
    generation = index.generation(name)
    if generation.retired:
        raise StoreError(f"generation {name} of {index.uri} is half retired; end that: duet snapshots retire {name}")
    return generation


def _rewrite(index: Index, name: str, new: pa.Table | None) -> None:
    """Put another row in the place of a generation's, or none."""
    dataset = index.dataset("generations")
    removed, updated = delete_rows(dataset, pc.field("generation") == name)
    operation = lance.LanceOperation.Update(
        removed_fragment_ids=removed,
        updated_fragments=updated,
        new_fragments=[] if new is None else read_fragments(write_rows(dataset, new)),
    )
    lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)
