"""The driver: it holds the lease, commits receipts as they come, and publishes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.runtime import runtime
from model.checkpoint import Checkpoint, load_checkpoint
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
from pipelines.index.store import Index, index_uri

from .delete import run_delete
from .duplicates import superseded_rows
from .encode import EncodePlan
from .ledger import Ledger
from .pending import Pending
from .report import Report
from .settings import IngestSettings
from .stream import stream_receipts
from .summary import IngestSummary


def run_ingest(settings: IngestSettings) -> IngestSummary:
    """Bring the index up to the manifest and publish it.

    Killed at any time and run again, it finishes what it began: nothing is lost, nothing comes twice, and what was
    committed is not encoded again.

    Raises:
        ManifestError, CheckpointError, StoreError: what the user can mend.
    """
    if settings.delete:
        return run_delete(settings)
    assert settings.checkpoint is not None
    folder = str(Path(settings.checkpoint).absolute())
    checkpoint = load_checkpoint(folder)
    manifest = _open_manifest(settings, checkpoint)
    if settings.dry_run:
        return _dry_run(settings, manifest, checkpoint)
    superseded = superseded_rows(manifest)
    index = Index.create(settings.index)
    with Lease(index.uri) as lease:
        metadata = tuple(manifest.schema.field(name) for name in manifest.metadata)
        generation = index.create_generation(checkpoint, folder, metadata)
        committer = Committer(index, generation, lease)
        pending = Pending(
            manifest,
            checkpoint.taxonomy.names,
            Ledger.of(index, generation.name, committer.datasets),
            superseded,
            settings.chunk,
            committer.sequence,
        )
        plan = EncodePlan(
            checkpoint=folder,
            model_digest=checkpoint.digest,
            index_uri=index.uri,
            generation=generation.name,
            device="cuda" if settings.gpus else "cpu",
            batch=settings.batch,
            threads=settings.threads,
            thumbnail_size=settings.thumbnail_size,
            actors=settings.actors,
        )
        with _quiet_start(), runtime(settings.ray), progress("indexing", manifest.count()) as advance:
            began = time.perf_counter()
            receipts = stream_receipts(
                pending,
                plan,
                checkpoint.preparation,
                actors=settings.actors,
                gpus=settings.gpus,
                separate_decode=settings.decodes_separately,
            )
            report, rate = _commit_all(receipts, committer, folder, settings, advance)
            assert report.balanced, f"{report.seen} rows were read, and became {report.actions.total()} items: {report}"
            if report.seen != manifest.count():
                raise StoreError(
                    f"{report.seen:,} of the manifest's {manifest.count():,} rows were read: a file changed meanwhile. "
                    "What was read is indexed; run this command again for the rest"
                )
            snapshot_id = _publish(committer, folder, report)
            total = time.perf_counter() - began
    return IngestSummary.of(
        report,
        index.uri,
        total,
        rate,
        snapshot_id=snapshot_id,
        ignored_attributes=_ignored(manifest, checkpoint),
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


def _commit_all(
    receipts: Iterable[tuple[Receipt, Report]],
    committer: Committer,
    checkpoint_uri: str,
    settings: IngestSettings,
    advance: Advance,
) -> tuple[Report, float]:
    """Commit receipts in groups as they come; publish now and then where this generation is the published one.

    Returns:
        the sum of the reports, and encoded items per second from the first receipt to the last commit.
    """
    total = Report()
    group: list[Receipt] = []
    vectors, commits, last = 0, 0, time.monotonic()
    latest = committer.index.latest()
    # A generation that is being built beside the published one is switched to when it is whole, not before.
    publishes = latest is None or latest.generation == committer.generation.name

    def commit() -> None:
        nonlocal group, vectors, commits, last
        if group:
            began = time.perf_counter()
            committer.commit(group)
            total.spend("commit", time.perf_counter() - began)
            group, vectors, commits = [], 0, commits + 1
            if publishes and commits % settings.publish_commits == 0:
                _publish(committer, checkpoint_uri, total)
        last = time.monotonic()

    first, started = 0, time.monotonic()
    for number, (receipt, report) in enumerate(receipts):
        total.add(report)
        if number == 0:  # until then the workers were starting
            first, started = report.encoded, time.monotonic()
        if not receipt.is_empty:
            group.append(receipt)
            vectors += receipt.vectors
        if vectors >= settings.commit_vectors or time.monotonic() - last >= settings.commit_seconds:
            commit()
        advance(report.seen)
    commit()
    rate = (total.encoded - first) / (time.monotonic() - started) if total.encoded > first else 0.0
    return total, rate


def _publish(committer: Committer, checkpoint_uri: str, report: Report) -> str:
    began = time.perf_counter()
    snapshot = publish(committer, checkpoint_uri)
    report.spend("publish", time.perf_counter() - began)
    return snapshot.snapshot_id


def _dry_run(settings: IngestSettings, manifest: Manifest, checkpoint: Checkpoint) -> IngestSummary:
    """Read and compare everything here, in this process; nothing is decoded, so bad pictures are not found yet."""
    index = Index(index_uri(settings.index))
    began = time.perf_counter()
    pending = Pending(
        manifest,
        checkpoint.taxonomy.names,
        _ledger_of(index, generation_name(checkpoint.digest, checkpoint.preparation, checkpoint.taxonomy)),
        superseded_rows(manifest),
        settings.chunk,
        0,
    )
    report = Report()
    with progress("comparing", manifest.count()) as advance:
        for chunk in pending.chunks():
            report.add(Report.of(chunk))
            advance(chunk.seen)
    total = time.perf_counter() - began
    return IngestSummary.of(
        report, index.uri, total, 0.0, ignored_attributes=_ignored(manifest, checkpoint), dry_run=True
    )


def _ledger_of(index: Index, generation: str) -> Ledger | None:
    """The ledger of a generation; None if there is none yet."""
    if not dataset_exists(index.table_uri(ITEMS, generation)):
        return None
    return Ledger.of(index, generation, {table: index.dataset(table, generation) for table in (ITEMS, DEAD_LETTERS)})


def _ignored(manifest: Manifest, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Label columns of the manifest that the encoder does not know."""
    return tuple(name for name in manifest.attributes if name not in checkpoint.taxonomy.names)
