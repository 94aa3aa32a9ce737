"""A dry run: what an ingestion would do, without doing it."""

from __future__ import annotations

import time

from pipelines.data.progress import progress
from pipelines.index.datasets import dataset_exists
from pipelines.index.generation import generation_name
from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.store import Index, index_uri

from .duplicates import superseded_rows
from .ledger import Ledger
from .pending import Pending
from .report import Report
from .settings import IngestSettings
from .summary import IngestSummary
from .targets import Target


def dry_run(settings: IngestSettings, target: Target) -> IngestSummary:
    """Read and compare everything here, in this process; nothing is decoded, so bad pictures are not found yet."""
    checkpoint = target.checkpoint
    manifest = target.open_manifest(settings)
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
        ignored_attributes=target.ignored(manifest),
        dry_run=True,
    )


def _ledger_of(index: Index, generation: str) -> Ledger | None:
    """The ledger of a generation; None if there is none yet."""
    if not dataset_exists(index.table_uri(ITEMS, generation)):
        return None
    return Ledger.of(index, generation, {table: index.dataset(table, generation) for table in (ITEMS, DEAD_LETTERS)})
