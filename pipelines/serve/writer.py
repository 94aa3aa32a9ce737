"""Immediate changes: what a call puts in, takes out or publishes is in the next answer of this server.

A change goes the way of every ingestion, in this process: under the index's lease, committed as a whole, through the
gate, published. Calls wait for each other, so that no two take the lease from one another.
"""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import RequestError
from pipelines.index.gate import GateSettings
from pipelines.index.lease import Lease
from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.schema import NO_FIELD, is_one_of
from pipelines.index.snapshot import Snapshot
from pipelines.index.switch import publish_generation, roll_back
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.summary import IngestSummary

from .engines import Engines
from .settings import ServeSettings
from .upsert import UpsertedItem, manifest_of

T = TypeVar("T")

_REMEMBERED = 10_000  # answers to calls with a request_id


@dataclass(frozen=True)
class Refused:
    """An item whose picture cannot be used, and why."""

    item_id: str
    code: str
    message: str


@dataclass(frozen=True)
class Upserted:
    """What an upsert did: the snapshot that holds its items, and how many of them are other ones than before."""

    snapshot_id: str
    changed: int
    unchanged: int
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class Deleted:
    """What a deletion did: the snapshot without the items, and how many of them there were."""

    snapshot_id: str
    deleted: int
    absent: int


class Writer:
    """Changes an index that is served. Thread-safe.

    A call with a `request_id` that this server has answered is answered alike and changes nothing. A restarted server
    does the same change again, which is as good unless somebody else has changed the item in between.

    Args:
        engines: that follow.
        settings: of the server: checkpoint, roots.
    """

    def __init__(self, engines: Engines, settings: ServeSettings) -> None:
        self._engines, self._settings = engines, settings
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[str, object]] = OrderedDict()

    def upsert(self, items: Sequence[UpsertedItem], request_id: str, digest: str) -> Upserted:
        """Put items in, or in the place of those that there are.

        Args:
            items: no two of one id.
            request_id: "" = none.
            digest: of all that the request says.

        Raises:
            RequestError: metadata that does not fit; or the request_id came with another request.
            BusyError: another process writes to the index.
            GateError: what would be published is not fit for it.
        """
        return self._once(request_id, digest, lambda: self._upsert(items))

    def delete(self, item_ids: Sequence[str], request_id: str, digest: str) -> Deleted:
        """Take items out. Raises as `upsert`."""
        return self._once(request_id, digest, lambda: self._delete(item_ids))

    def publish(self, snapshot_id: str, request_id: str, digest: str) -> Snapshot:
        """Serve an earlier snapshot again, or publish what is committed (""). Raises as `upsert`."""
        return self._once(request_id, digest, lambda: self._publish(snapshot_id))

    def _once(self, request_id: str, digest: str, change: Callable[[], T]) -> T:
        with self._lock:
            if request_id in self._answers:
                before, answer = self._answers[request_id]
                if before != digest:
                    message = f"request_id {request_id[:80]!r} was that of another request"
                    raise RequestError("REQUEST_ID_REUSED", message, "request_id")
                return answer  # type: ignore[return-value]  # what the same request was answered
            self._engines.refresh()  # another process may have switched to another generation
            answer = change()
            self._engines.refresh()
            if request_id:
                self._answers[request_id] = digest, answer
                while len(self._answers) > _REMEMBERED:
                    self._answers.popitem(last=False)
            return answer

    def _upsert(self, items: Sequence[UpsertedItem]) -> Upserted:
        index, engine = self._engines.index, self._engines.of()
        taxonomy = engine.scope.taxonomy
        generation = index.snapshot(engine.scope.snapshot_id).generation
        metadata = index.dataset(ITEMS, generation).schema.field("metadata").type
        columns = [field for field in metadata if field.name != NO_FIELD.name]
        summary = self._ingest(manifest_of(items, taxonomy, columns), attributes=list(taxonomy.names))
        refused: tuple[Refused, ...] = ()
        if summary.refused or summary.unchanged_refused:
            letters = index.dataset(DEAD_LETTERS, generation)
            rows = letters.to_table(filter=is_one_of("item_id", [item.item_id for item in items]))
            rows = rows.sort_by([("item_id", "ascending"), ("attempt", "ascending")])
            last = {row["item_id"]: row for row in rows.to_pylist()}
            refused = tuple(Refused(item_id, row["code"], row["message"]) for item_id, row in last.items())
        changed = summary.new + summary.changed + summary.relabelled
        return Upserted(self._published(summary.snapshot_id), changed, summary.unchanged, refused)

    def _delete(self, item_ids: Sequence[str]) -> Deleted:
        gate = GateSettings(max_loss=1.0)  # all of them are named
        summary = self._ingest(pa.table({"item_id": pa.array(item_ids, pa.string())}), delete=True, gate=gate)
        return Deleted(self._published(summary.snapshot_id), summary.deleted, summary.absent)

    def _publish(self, snapshot_id: str) -> Snapshot:
        index = self._engines.index
        known = {snapshot.snapshot_id: snapshot for snapshot in index.snapshots()}
        if snapshot_id and snapshot_id not in known:
            raise RequestError("SNAPSHOT_NOT_FOUND", f"there is no snapshot {snapshot_id!r}", "snapshot")
        with Lease(index.uri) as lease:
            if snapshot_id:
                return roll_back(index, lease, snapshot_id)
            return publish_generation(index, lease, known[self._engines.of().scope.snapshot_id].generation)

    def _ingest(self, rows: pa.Table, **settings: object) -> IngestSummary:
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
                        **settings,
                    }
                )
            )

    def _published(self, snapshot_id: str | None) -> str:
        return snapshot_id or self._engines.of().scope.snapshot_id
