"""Immediate changes: what a call puts in, takes out or publishes is in the next answer of this server.

A change goes the way of every ingestion, in this process: under the index's lease, committed as a whole, through the
gate, published. Calls wait for each other, so that no two take the lease from one another.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf.message import Message

from pipelines.errors import ConflictError, RequestError, StoreError
from pipelines.index.committer import Committer
from pipelines.index.generation import Generation
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.publish import PublishSettings
from pipelines.index.requests import Entry, Request, Requests
from pipelines.index.schema import NO_FIELD, is_one_of
from pipelines.index.snapshot import Snapshot
from pipelines.index.switch import ANY_ITEMS, publish_generation, roll_back
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.summary import IngestSummary
from pipelines.rpc.duet.v1 import catalog_pb2

from .catalog_messages import write_snapshot
from .engines import Engines
from .settings import ServeSettings
from .upsert import UpsertedItem, manifest_of
from .write_messages import write_deleted, write_upserted

M = TypeVar("M", bound=Message)
Bounds = dict[str, float | None]

log = logging.getLogger("duet.serve")


@dataclass(frozen=True)
class _Change(Generic[M]):
    """A change that a request asks for.

    Args:
        kind: of its answer.
        make: makes it, under the lease.
        answer: makes its answer of what a killed server left: what it committed, and the first snapshot with it.
        bounds: of the gate, other than usual: what is asked for is let through.
        switches: whether it is about which generation is served.
        goes_back: whether it is a rollback.
    """

    kind: type[M]
    make: Callable[[Lease, Request | None], M]
    answer: Callable[[Entry, Snapshot], M]
    bounds: Bounds = field(default_factory=dict)
    switches: bool = False
    goes_back: bool = False


class Writer:
    """Changes an index that is served. Thread-safe.

    A request with an id that has been done is answered alike and changes nothing, whichever server of the index did it
    (`pipelines.index.requests`).

    Args:
        engines: that follow.
        settings: of the server: checkpoint, roots, how to publish.
    """

    def __init__(self, engines: Engines, settings: ServeSettings) -> None:
        self._engines, self._settings = engines, settings
        self._requests = Requests(engines.index)
        self._lock = threading.Lock()

    def upsert(
        self, items: Sequence[UpsertedItem], request: Request, fault: RequestError | None = None
    ) -> catalog_pb2.UpsertItemsResponse:
        """Put items in, or in the place of those that there are.

        Args:
            items: no two of one id.
            request: that asks for it; an id of "" is none.
            fault: why they cannot be put in as things are now; a request that was made before is answered all the same.

        Raises:
            RequestError: the fault; metadata that does not fit; or the request_id came with another request.
            BusyError: another process writes to the index.
            GateError: what would be published is not fit for it.
        """
        if fault is not None and self._entry(request) is None:
            raise fault
        ids = [item.item_id for item in items]
        change = _Change(
            catalog_pb2.UpsertItemsResponse,
            lambda lease, once: self._upsert(items, lease, once, fault),
            lambda entry, snapshot: self._upserted(ids, entry.counts, snapshot.snapshot_id),
        )
        return self._once(request, change)

    def delete(self, item_ids: Sequence[str], request: Request) -> catalog_pb2.DeleteItemsResponse:
        """Take items out. Raises as `upsert`."""
        change = _Change(
            catalog_pb2.DeleteItemsResponse,
            lambda lease, once: self._delete(item_ids, lease, once),
            lambda entry, snapshot: write_deleted(entry.counts, snapshot.snapshot_id),
            bounds=self._without(len(item_ids)),
        )
        return self._once(request, change)

    def publish(self, snapshot_id: str, request: Request) -> catalog_pb2.PublishSnapshotResponse:
        """Serve an earlier snapshot again, or publish what is committed (""). Raises as `upsert`."""
        change = _Change(
            catalog_pb2.PublishSnapshotResponse,
            lambda lease, once: self._publish(snapshot_id, lease, once),
            lambda _, snapshot: catalog_pb2.PublishSnapshotResponse(snapshot=write_snapshot(snapshot)),
            bounds=ANY_ITEMS if snapshot_id else {},
            switches=True,
            goes_back=bool(snapshot_id),
        )
        return self._once(request, change)

    def _once(self, request: Request, change: _Change[M]) -> M:
        """Make a change, unless it is made already; its answer."""
        with self._lock:
            answer = self._answered(request, change)  # without the lease: nothing is changed
            if answer is None:
                with Lease(self._engines.index.uri) as lease:
                    self._catch_up(change)
                    answer = self._answered(request, change) or self._made(request, change, lease)
            self._engines.refresh()
            return answer

    def _catch_up(self, change: _Change[M]) -> None:
        """Serve what is published now: another process may have switched to another generation."""
        try:
            self._engines.refresh()
        except Exception as error:  # boundary: what is published may be damaged in any way, and a rollback mends that
            if not change.goes_back:
                raise
            log.warning("%s; going back all the same", error)

    def _answered(self, request: Request, change: _Change[M]) -> M | None:
        entry = self._entry(request)
        return None if entry is None or entry.answer is None else change.kind.FromString(entry.answer)

    def _made(self, request: Request, change: _Change[M], lease: Lease) -> M:
        if not request.request_id:
            return change.make(lease, None)
        entry = self._entry(request)
        if entry is not None and entry.begun:
            index = self._engines.index
            for generation in index.generations():
                if generation.name == entry.generation:
                    self._settle(generation, change, lease)
            entry = self._entry(request)
        if entry is None or entry.begun:  # the latter where its generation is retired
            answer = change.make(lease, request)
        else:
            answer = change.answer(entry, self._published(entry, change, lease))
        self._requests.answered(request, answer.SerializeToString())
        return answer

    def _settle(self, generation: Generation, change: _Change[M], lease: Lease) -> None:
        """Find out whether what was begun in a generation was done."""
        try:
            Committer(self._engines.index, generation, lease)
        except ConflictError:
            raise
        except StoreError:  # beyond repair, which a rollback mends
            if not change.switches:
                raise

    def _entry(self, request: Request) -> Entry | None:
        entry = self._requests.find(request.request_id) if request.request_id else None
        if entry is not None and entry.digest != request.digest:
            message = f"request_id {request.request_id[:80]!r} was that of another request"
            raise RequestError("REQUEST_ID_REUSED", message, "request_id")
        return entry

    def _published(self, entry: Entry, change: _Change[M], lease: Lease) -> Snapshot:
        """The first snapshot since a change was committed; the killed server may not have come to publish one."""
        index = self._engines.index
        for snapshot in index.snapshots():
            if snapshot.generation == entry.generation and snapshot.snapshot_id > entry.before:
                return snapshot
        latest = index.latest()
        if latest is not None and latest.generation != entry.generation and not change.switches:
            return latest  # somebody has switched since, to a generation that was changed alike
        return publish_generation(index, lease, entry.generation, self._publishing(change.bounds))

    def _upsert(
        self, items: Sequence[UpsertedItem], lease: Lease, request: Request | None, fault: RequestError | None
    ) -> catalog_pb2.UpsertItemsResponse:
        if fault is not None:
            raise fault
        index, engine = self._engines.index, self._engines.of()
        taxonomy = engine.scope.taxonomy
        generation = index.snapshot(engine.scope.snapshot_id).generation
        metadata = index.dataset(ITEMS, generation).schema.field("metadata").type
        columns = [field for field in metadata if field.name != NO_FIELD.name]
        rows = manifest_of(items, taxonomy, columns)
        summary = self._ingest(rows, lease, request, {}, attributes=list(taxonomy.names))
        return self._upserted([item.item_id for item in items], vars(summary), self._snapshot_id(summary))

    def _upserted(
        self, item_ids: Sequence[str], counts: Mapping[str, int], snapshot_id: str
    ) -> catalog_pb2.UpsertItemsResponse:
        letters: list[dict[str, str]] = []
        if counts.get("refused") or counts.get("unchanged_refused"):
            index = self._engines.index
            dataset = index.dataset(DEAD_LETTERS, index.snapshot(snapshot_id).generation)
            rows = dataset.to_table(filter=is_one_of("item_id", item_ids))
            rows = rows.sort_by([("item_id", "ascending"), ("attempt", "ascending")])
            letters = list({row["item_id"]: row for row in rows.to_pylist()}.values())
        return write_upserted(counts, letters, snapshot_id)

    def _delete(
        self, item_ids: Sequence[str], lease: Lease, request: Request | None
    ) -> catalog_pb2.DeleteItemsResponse:
        rows = pa.table({"item_id": pa.array(item_ids, pa.string())})
        summary = self._ingest(rows, lease, request, self._without(len(item_ids)), delete=True)
        return write_deleted(vars(summary), self._snapshot_id(summary))

    def _publish(self, snapshot_id: str, lease: Lease, request: Request | None) -> catalog_pb2.PublishSnapshotResponse:
        index = self._engines.index
        known = {snapshot.snapshot_id: snapshot for snapshot in index.snapshots()}
        if snapshot_id and snapshot_id not in known:
            raise RequestError("SNAPSHOT_NOT_FOUND", f"there is no snapshot {snapshot_id!r}", "snapshot")
        if snapshot_id:
            snapshot = roll_back(index, lease, snapshot_id, self._settings.publishing, request)
        else:
            generation = known[self._engines.of().scope.snapshot_id].generation
            snapshot = publish_generation(index, lease, generation, self._settings.publishing, request)
        return catalog_pb2.PublishSnapshotResponse(snapshot=write_snapshot(snapshot))

    def _without(self, count: int) -> Bounds:
        """Bounds of the gate where so many items, which are named, may go, beside those that always may."""
        latest = self._engines.index.latest()
        share = count / max(latest.items, 1) if latest is not None else 1.0
        return {"max_loss": min(1.0, self._settings.gate.max_loss + share)}

    def _publishing(self, bounds: Bounds) -> PublishSettings:
        publishing = self._settings.publishing
        gate = publishing.gate.model_copy(update=bounds)
        return publishing.model_copy(update={"gate": gate})

    def _ingest(
        self, rows: pa.Table, lease: Lease, request: Request | None, bounds: Bounds, **settings: object
    ) -> IngestSummary:
        with tempfile.TemporaryDirectory(prefix="duet-write-") as folder:
            path = Path(folder) / "items.parquet"
            pq.write_table(rows, path)
            return run_ingest(
                IngestSettings.model_validate(
                    {
                        "manifest": [str(path)],
                        "index": self._engines.index.uri,
                        "checkpoint": self._settings.checkpoint or None,
                        "roots": self._settings.roots,
                        "inline_rows": rows.num_rows,
                        "max_failures": 1.0,  # what is refused is told
                        "commit_vectors": 10**9,  # all of it at once
                        "commit_seconds": 10.0**9,
                        **dict(self._publishing(bounds)),
                        **settings,
                    }
                ),
                lease,
                request,
            )

    def _snapshot_id(self, summary: IngestSummary) -> str:
        return summary.snapshot_id or self._engines.of().scope.snapshot_id
