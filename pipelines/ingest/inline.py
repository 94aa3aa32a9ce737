"""Small manifests are embedded in the driver's own process: starting Ray's workers would take longer than the work."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pipelines.index.receipt import Receipt

from .encode import EncodePlan, EncodeWorker
from .pending import Pending
from .report import Report
from .transport import chunk_schema, pack_chunk, unpack_receipt


def inline_receipts(pending: Pending, plan: EncodePlan) -> Iterator[tuple[Receipt, Report]]:
    """As `pipelines.ingest.stream.stream_receipts`, without Ray."""
    worker = _worker(plan)
    worker.reopen()
    assert pending.ledger is not None
    schema = chunk_schema(pending.ledger.schema)
    for chunk in pending.chunks():
        yield unpack_receipt(worker(pack_chunk(chunk, schema)))


@lru_cache(maxsize=2)  # the served generation's, and one beside it
def _worker(plan: EncodePlan) -> EncodeWorker:
    return EncodeWorker(plan)
