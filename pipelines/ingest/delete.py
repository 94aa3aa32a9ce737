"""Deleting a manifest's items, and their dead letters, from every generation of an index."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime

import lance

from pipelines.data.manifest import Manifest
from pipelines.data.progress import progress
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.publish import publish
from pipelines.index.receipt import Receipt
from pipelines.index.requests import Request
from pipelines.index.retention import clean
from pipelines.index.schema import is_one_of
from pipelines.index.store import Index
from pipelines.index.upkeep import maintain

from .settings import IngestSettings
from .summary import IngestSummary

_ROWS = 8192


def run_delete(
    settings: IngestSettings,
    lease: Lease | None,
    request: Request | None,
    fresh_at: datetime,
    committed: Callable[[], None] | None = None,
) -> IngestSummary:
    """Delete, and publish the generation that is published now; the others are brought into order.

    Args:
        settings: of the run.
        lease: of the index, if it is held already.
        request: that asks for it, of at most `_ROWS` items: it is written down with its commit.
        fresh_at: see `pipelines.ingest.driver.run_ingest`.
        committed: see there.

    Raises:
        ManifestError, StoreError: the manifest or the index cannot be used.
    """
    began = time.perf_counter()
    manifest = Manifest.open(settings.manifest, require_image=False)
    index = Index.open(settings.index)
    if settings.dry_run:
        datasets = [index.dataset(ITEMS, generation.name) for generation in index.generations()]
        deleted = _count(manifest, lambda ids: set().union(*(_present(dataset, ids) for dataset in datasets)))
        return IngestSummary(index.uri, deleted=deleted[0], absent=deleted[1], dry_run=True)
    assert request is None or manifest.count() <= _ROWS, "a request is one commit"
    with Lease(index.uri) if lease is None else nullcontext(lease) as held:
        latest = index.latest()
        committers = [Committer(index, generation, held) for generation in index.generations()]
        # The served one last: its commit says that the request was done, in all of them.
        committers.sort(key=lambda committer: latest is not None and committer.generation.name == latest.generation)

        def delete(ids: list[str]) -> set[str]:
            gone: set[str] = set()
            for committer in committers:
                present = _present(committer.datasets[ITEMS], ids)
                # Also of items that were never indexed, so that their pictures are tried again.
                refused = _present(committer.datasets[DEAD_LETTERS], ids)
                gone |= present
                if present or refused:
                    receipt = Receipt(committer.sequence + 1, replaced=tuple(sorted(present | refused)))
                    counts = {"deleted": len(gone), "absent": len(ids) - len(gone)}
                    committer.commit([receipt], request if committer is committers[-1] else None, counts)
            return gone

        deleted = _count(manifest, delete)
        if committed is not None:
            committed()
        if latest is not None:
            latest = publish(committers.pop(), latest.checkpoint_uri, fresh_at=fresh_at, settings=settings.publishing)
        for committer in committers:  # the others; publishing would have done it
            maintain(committer, settings.upkeep)
            clean(committer)
        return IngestSummary(
            index.uri,
            deleted=deleted[0],
            absent=deleted[1],
            seconds={"total": time.perf_counter() - began},
            snapshot_id=latest.snapshot_id if latest is not None else None,
        )


def _count(manifest: Manifest, delete: Callable[[list[str]], set[str]]) -> tuple[int, int]:
    """Apply `delete`, which says which of some ids were there, to all ids -> (how many were, how many were not)."""
    deleted = absent = 0
    with progress("deleting", manifest.count()) as advance:
        for batch in manifest.batches(_ROWS, ["item_id"]):
            ids = sorted(set(batch.column("item_id").to_pylist()))
            gone = delete(ids)
            deleted, absent = deleted + len(gone), absent + len(ids) - len(gone)
            advance(batch.num_rows)
    return deleted, absent


def _present(table: lance.LanceDataset, item_ids: Sequence[str]) -> set[str]:
    found = table.to_table(columns=["item_id"], filter=is_one_of("item_id", item_ids))
    return set(found["item_id"].to_pylist())
