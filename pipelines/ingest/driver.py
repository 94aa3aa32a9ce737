"""The driver: it holds the lease, commits receipts as they come, and publishes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime

from cluster.runtime import runtime
from model.preparation import ImagePreparation
from pipelines.data.manifest import Manifest
from pipelines.data.progress import progress
from pipelines.errors import BusyError, StoreError
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.receipt import Receipt
from pipelines.index.requests import Request
from pipelines.index.retention import remove_orphans
from pipelines.index.store import Index

from .delete import run_delete
from .dry_run import dry_run
from .duplicates import superseded_rows
from .encode import EncodePlan
from .inline import inline_receipts
from .ledger import Ledger
from .pending import Pending
from .report import Report
from .run import Run
from .settings import IngestSettings
from .stream import stream_receipts
from .summary import IngestSummary
from .targets import Target, choose_targets, live_generations


def run_ingest(
    settings: IngestSettings,
    lease: Lease | None = None,
    request: Request | None = None,
    fresh_at: datetime | None = None,
    committed: Callable[[], None] | None = None,
) -> IngestSummary:
    """Bring the index up to the manifest and publish it.

    Killed at any time and run again, it finishes what it began: nothing is lost, nothing comes twice, and what was
    committed is not encoded again.

    Args:
        settings: of the run.
        lease: of the index, if it is held already.
        request: that asks for it; all of it is then one commit (`IngestSettings.commit_vectors`, `commit_seconds`),
            with which the request is written down.
        fresh_at: what was handed in before is in the manifest, or in the index already; None = now.
        committed: called when all is committed, in every generation, and before the last of it is published.

    Returns:
        what was done in the generation that is served (or is new), and in those beside it.

    Raises:
        ManifestError, CheckpointError, StoreError: what the user can mend.
    """
    fresh_at = fresh_at or datetime.now(UTC)
    if settings.delete:
        return run_delete(settings, lease, request, fresh_at, committed)
    if settings.dry_run:
        targets = choose_targets(settings)
        return dry_run(settings, targets[0])
    known = live_generations(settings.index)
    targets = choose_targets(settings)
    manifests = [target.open_manifest(settings) for target in targets]
    index = Index.create(settings.index)
    small = not settings.gpus and all(manifest.count() <= settings.inline_rows for manifest in manifests)
    nobody = [None] * len(targets)
    runs = list(zip(targets, manifests, [request, *nobody], [committed, *nobody], strict=False))
    runs.reverse()  # the served generation's commit last: it says that a request was done, in all of them
    with (
        Lease(index.uri) if lease is None else nullcontext(lease) as held,
        _quiet_start(),
        nullcontext() if small else runtime(settings.ray),
    ):
        if live_generations(settings.index) not in (known, {target.generation for target in targets}):
            raise BusyError(f"generations of {index.uri} came or went while this began; run this command again")
        latest = index.latest()
        served = targets[0].generation if latest is None else latest.generation
        done = [_run_generation(settings, index, held, served, *run, fresh_at) for run in runs]
    first, *beside = done[::-1]
    return replace(first, beside=tuple(beside))


def _run_generation(
    settings: IngestSettings,
    index: Index,
    lease: Lease,
    served: str,
    target: Target,
    manifest: Manifest,
    request: Request | None,
    committed: Callable[[], None] | None,
    fresh_at: datetime,
) -> IngestSummary:
    """Bring one generation up to the manifest; publish it if it is the one that is served, or the first."""
    checkpoint = target.checkpoint
    superseded = superseded_rows(manifest)
    metadata = tuple(manifest.schema.field(name) for name in manifest.metadata)
    generation = index.create_generation(checkpoint, target.folder, metadata)
    committer = Committer(index, generation, lease)
    if lease.predecessor == "killed":
        remove_orphans(committer)  # while no worker of this run writes yet
    pinned = committer.pin([ITEMS, DEAD_LETTERS])
    pending = Pending(
        manifest,
        checkpoint.taxonomy.names,
        Ledger(index.uri, generation.name, pinned[ITEMS], pinned[DEAD_LETTERS]),
        superseded,
        settings.chunk,
        committer.sequence,
        settings.retry_dead_letters,
    )
    plan = EncodePlan(
        checkpoint=target.folder,
        model_digest=checkpoint.digest,
        index_uri=index.uri,
        generation=generation.name,
        device="cuda" if settings.gpus else "cpu",
        batch=settings.batch,
        threads=settings.threads,
        thumbnail_size=settings.thumbnail_size,
        actors=settings.actors,
    )
    with progress(f"indexing into {generation.name}", manifest.count()) as advance:
        clock = time.perf_counter()
        receipts = _receipts(settings, pending, plan, checkpoint.preparation)
        run = Run(committer, settings, target.folder, request, serves=generation.name == served)
        run.commit_all(receipts, advance)
        report = run.report
        assert report.balanced, f"{report.seen} rows were read, and became {report.actions.total()} items: {report}"
        if report.seen != manifest.count():
            raise StoreError(
                f"{report.seen:,} of the manifest's {manifest.count():,} rows were read: a file changed meanwhile. "
                "What was read is indexed; run this command again for the rest"
            )
        committer.unpin()
        if committed is not None:
            committed()
        snapshot_id = run.publish(fresh_at=fresh_at)
    return IngestSummary.of(
        report,
        index.uri,
        time.perf_counter() - clock,
        run.rate,
        generation=generation.name,
        snapshot_id=snapshot_id,
        ignored_attributes=target.ignored(manifest),
    )


def _receipts(
    settings: IngestSettings, pending: Pending, plan: EncodePlan, preparation: ImagePreparation
) -> Iterator[tuple[Receipt, Report]]:
    if not settings.gpus and pending.manifest.count() <= settings.inline_rows:
        return inline_receipts(pending, plan)
    return stream_receipts(
        pending,
        plan,
        preparation,
        actors=settings.actors,
        gpus=settings.gpus,
        separate_decode=settings.decodes_separately,
    )


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Lance warns of every fork; Ray's are each followed by an exec at once, which is safe."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lance is not fork-safe")
        yield
