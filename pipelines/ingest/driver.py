"""The driver: it holds the lease, commits receipts as they come, and publishes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime

from cluster.memory import give_back
from cluster.runtime import runtime
from model.checkpoint import Checkpoint
from model.preparation import ImagePreparation
from pipelines.data.manifest import Manifest
from pipelines.data.progress import Advance, progress
from pipelines.errors import StoreError
from pipelines.index.committer import Committer
from pipelines.index.datasets import dataset_exists
from pipelines.index.generation import generation_name
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.publish import publish
from pipelines.index.receipt import Receipt
from pipelines.index.requests import Request
from pipelines.index.retention import clean, remove_orphans
from pipelines.index.store import Index, index_uri
from pipelines.index.upkeep import maintain

from .chunk import Action
from .delete import run_delete
from .duplicates import superseded_rows
from .encode import EncodePlan
from .inline import inline_receipts
from .ledger import Ledger
from .pending import Pending
from .report import Report
from .settings import IngestSettings
from .stream import stream_receipts
from .summary import IngestSummary
from .targets import Target, choose_targets

_LEAST_FAILURES = 20  # refusals from which on their share counts


def run_ingest(
    settings: IngestSettings,
    lease: Lease | None = None,
    request: Request | None = None,
    fresh_at: datetime | None = None,
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

    Returns:
        what was done in the generation that is served (or is new), and in those beside it.

    Raises:
        ManifestError, CheckpointError, StoreError: what the user can mend.
    """
    fresh_at = fresh_at or datetime.now(UTC)
    if settings.delete:
        return run_delete(settings, lease, request, fresh_at)
    if settings.dry_run:
        targets = choose_targets(settings)
        return _dry_run(settings, targets[0])
    targets = choose_targets(settings)
    manifests = [_open_manifest(settings, target.checkpoint) for target in targets]
    index = Index.create(settings.index)
    small = not settings.gpus and all(manifest.count() <= settings.inline_rows for manifest in manifests)
    runs = list(zip(targets, manifests, [request, *[None] * len(targets)], strict=False))
    if request is not None:
        runs.reverse()  # the served generation's commit last: it says that the request was done, in all of them
    with (
        Lease(index.uri) if lease is None else nullcontext(lease) as held,
        _quiet_start(),
        nullcontext() if small else runtime(settings.ray),
    ):
        done = [_run_generation(settings, index, held, *run, fresh_at) for run in runs]
    first, *beside = done if request is None else done[::-1]
    return replace(first, beside=tuple(beside))


def _run_generation(
    settings: IngestSettings,
    index: Index,
    lease: Lease,
    target: Target,
    manifest: Manifest,
    request: Request | None,
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
        run = _Run(committer, settings, target.folder, request)
        run.commit_all(receipts, advance)
        report = run.report
        assert report.balanced, f"{report.seen} rows were read, and became {report.actions.total()} items: {report}"
        if report.seen != manifest.count():
            raise StoreError(
                f"{report.seen:,} of the manifest's {manifest.count():,} rows were read: a file changed meanwhile. "
                "What was read is indexed; run this command again for the rest"
            )
        committer.unpin()
        snapshot_id = run.publish(fresh_at=fresh_at)
    return IngestSummary.of(
        report,
        index.uri,
        time.perf_counter() - clock,
        run.rate,
        generation=generation.name,
        snapshot_id=snapshot_id,
        ignored_attributes=_ignored(manifest, checkpoint),
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


def _open_manifest(settings: IngestSettings, checkpoint: Checkpoint) -> Manifest:
    """The manifest with its labels as training and evaluation read them; one without labels is indexed as well."""
    manifest = Manifest.open(settings.manifest, roots=settings.roots, attributes=settings.attributes)
    if settings.attributes is None and not set(checkpoint.taxonomy.names).isdisjoint(manifest.metadata):
        return Manifest.labelled(settings.manifest, checkpoint.taxonomy, roots=settings.roots)
    return manifest


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Lance warns of every fork; Ray's are each followed by an exec at once, which is safe."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lance is not fork-safe")
        yield


class _Run:
    """Commits the receipts of one generation as they come, and publishes.

    Attributes:
        report: the sum of the receipts' reports.
        rate: encoded items per second, from the first receipt to the last commit.
    """

    def __init__(
        self, committer: Committer, settings: IngestSettings, checkpoint_uri: str, request: Request | None = None
    ) -> None:
        self.report, self.rate = Report(), 0.0
        self._request = request
        self._committer, self._settings, self._checkpoint_uri = committer, settings, checkpoint_uri
        self._group: list[Receipt] = []
        self._vectors, self._commits, self._last = 0, 0, time.monotonic()
        latest = committer.index.latest()
        # A generation that is built beside the published one is switched to by its operator, not by the way.
        self._serves = latest is None or latest.generation == committer.generation.name

    def commit_all(self, receipts: Iterable[tuple[Receipt, Report]], advance: Advance) -> None:
        """Commit receipts in groups; now and then publish, or at least bring the tables into order."""
        first, started = 0, time.monotonic()
        for number, (receipt, report) in enumerate(receipts):
            self.report.add(report)
            if number == 0:  # until then the workers were starting
                first, started = report.encoded, time.monotonic()
            if not receipt.is_empty:
                self._group.append(receipt)
                self._vectors += receipt.vectors
            late = time.monotonic() - self._last >= self._settings.commit_seconds
            if late or self._vectors >= self._settings.commit_vectors:
                self._commit()
            advance(report.seen)
        self._commit()
        if self.report.encoded > first:
            self.rate = (self.report.encoded - first) / (time.monotonic() - started)

    def publish(self, fresh_at: datetime | None = None) -> str | None:
        """Publish; None where another generation is served, whose place this one may take later."""
        began = time.perf_counter()
        if self._serves:
            settings = self._settings.publishing
            snapshot = publish(self._committer, self._checkpoint_uri, fresh_at=fresh_at, settings=settings)
        else:
            maintain(self._committer, self._settings.upkeep)
            clean(self._committer)
        give_back()
        self.report.spend("publish", time.perf_counter() - began)
        return snapshot.snapshot_id if self._serves else None

    def _commit(self) -> None:
        self._check_failures()
        if self._group:
            began = time.perf_counter()
            assert self._request is None or self._commits == 0, "a request is one commit"
            self._committer.commit(self._group, self._request, self.report.actions)
            self.report.spend("commit", time.perf_counter() - began)
            self._group, self._vectors, self._commits = [], 0, self._commits + 1
            if self._commits % self._settings.publish_commits == 0:
                self.publish()
        self._last = time.monotonic()

    def _check_failures(self) -> None:
        refused = self.report.actions[Action.REFUSED]
        tried = refused + self.report.encoded
        if refused >= _LEAST_FAILURES and refused > self._settings.max_failures * tried:
            reasons = ", ".join(f"{code} {count:,}" for code, count in self.report.refusals.most_common(5))
            raise StoreError(
                f"{refused:,} of {tried:,} items were refused ({reasons}), and --max-failures is "
                f"{self._settings.max_failures:g}: nothing more is committed or published. What was committed before "
                "stays; mend the cause, or raise it, and run this command again"
            )


def _dry_run(settings: IngestSettings, target: Target) -> IngestSummary:
    """Read and compare everything here, in this process; nothing is decoded, so bad pictures are not found yet."""
    checkpoint = target.checkpoint
    manifest = _open_manifest(settings, checkpoint)
    index = Index(index_uri(settings.index))
    name = generation_name(checkpoint.digest, checkpoint.preparation, checkpoint.taxonomy)
    began = time.perf_counter()
    pending = Pending(
        manifest,
        checkpoint.taxonomy.names,
        _ledger_of(index, name),
        superseded_rows(manifest),
        settings.chunk,
        0,
        settings.retry_dead_letters,
    )
    report = Report()
    with progress("comparing", manifest.count()) as advance:
        for chunk in pending.chunks():
            report.add(Report.of(chunk))
            advance(chunk.seen)
    total = time.perf_counter() - began
    return IngestSummary.of(
        report,
        index.uri,
        total,
        0.0,
        generation=name,
        ignored_attributes=_ignored(manifest, checkpoint),
        dry_run=True,
    )


def _ledger_of(index: Index, generation: str) -> Ledger | None:
    """The ledger of a generation; None if there is none yet."""
    if not dataset_exists(index.table_uri(ITEMS, generation)):
        return None
    return Ledger.of(index, generation, {table: index.dataset(table, generation) for table in (ITEMS, DEAD_LETTERS)})


def _ignored(manifest: Manifest, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Label columns of the manifest that the encoder does not know."""
    return tuple(name for name in manifest.attributes if name not in checkpoint.taxonomy.names)
