"""Leases of readers: the snapshots that somebody reads and that nobody may clean away.

A reader writes its lease first and looks whether the snapshot is still listed after that; whoever retires a snapshot
takes it off the list first and reads the leases after that. So one of the two always sees the other.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import TracebackType

import lance
import pyarrow as pa
import pyarrow.compute as pc
from lance.commit import CommitConflictError

from pipelines.errors import StoreError

from .datasets import create_dataset, dataset_exists, delete_rows, open_dataset, read_fragments, write_rows

BEAT_SECONDS = 60.0
# Without a beat for this long a reader is taken for dead, and its leases are void.
EXPIRY = timedelta(seconds=5 * BEAT_SECONDS)
_ATTEMPTS = 20
_VERSIONS_KEPT = timedelta(minutes=10)
_SCHEMA = pa.schema(
    [
        pa.field("reader", pa.string(), nullable=False),
        pa.field("snapshot_id", pa.string(), nullable=False),
        pa.field("expires_at", pa.timestamp("us", "UTC"), nullable=False),
    ]
)
_log = logging.getLogger(__name__)


class ReaderLease:
    """A context that keeps the snapshots it `hold`s from being cleaned away, as long as the process lives.

    Args:
        uri: of the index. Where it cannot be written no lease is kept, which is said once: snapshots then last as long
            as `pipelines.index.retention` keeps them anyway.
    """

    def __init__(self, uri: str) -> None:
        self._uri = f"{uri}/readers.lance"
        self._reader = uuid.uuid4().hex
        self._held: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._keep, name="duet-reader-lease", daemon=True)
        self._works = True

    def start(self) -> None:
        """Begin to renew what is held."""
        self._beats.start()

    def close(self) -> None:
        """Let go of everything."""
        self._stop.set()
        self._beats.join()
        self.hold(())

    def __enter__(self) -> ReaderLease:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hold(self, snapshot_ids: Iterable[str]) -> None:
        """Hold just these snapshots from now on. What was held before and is not among them may be cleaned away."""
        with self._lock:
            held = frozenset(snapshot_ids)
            if held != self._held:
                self._held = held
                self._write()

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            with self._lock:
                if self._held:
                    self._write()

    def _write(self) -> None:
        try:
            create_dataset(self._uri, _SCHEMA.empty_table())
            for _ in range(_ATTEMPTS):
                if self._swap(open_dataset(self._uri)):
                    self._works = True
                    return
            raise StoreError(f"{self._uri} kept changing")
        except Exception as error:  # noqa: BLE001 - boundary: Lance raises whatever it likes, and reading goes on
            if self._works:
                _log.warning("no lease is kept on what is read: %s", error)
            self._works = False

    def _swap(self, dataset: lance.LanceDataset) -> bool:
        """This reader's rows anew, and nobody's that have expired; whether nobody came in between."""
        now = datetime.now(UTC)
        rows = [{"reader": self._reader, "snapshot_id": one, "expires_at": now + EXPIRY} for one in sorted(self._held)]
        removed, updated = delete_rows(dataset, (pc.field("reader") == self._reader) | (pc.field("expires_at") < now))
        operation = lance.LanceOperation.Update(
            removed_fragment_ids=removed,
            updated_fragments=updated,
            new_fragments=read_fragments(write_rows(dataset, pa.Table.from_pylist(rows, schema=_SCHEMA))),
        )
        try:
            committed = lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)
        except CommitConflictError:
            return False
        if committed.version % 64 == 0:
            committed.cleanup_old_versions(_VERSIONS_KEPT)
        return True


def leased_snapshots(uri: str) -> set[str]:
    """The snapshots of an index that a living reader holds."""
    table = f"{uri}/readers.lance"
    if not dataset_exists(table):
        return set()
    valid = pc.field("expires_at") >= datetime.now(UTC)
    held = open_dataset(table).to_table(columns=["snapshot_id"], filter=valid)
    return set(held["snapshot_id"].to_pylist())
