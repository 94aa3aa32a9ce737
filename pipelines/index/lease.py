"""The lease of an index: whoever holds it is its one committer.

It is a row in a small Lance table, so that taking it is atomic wherever an index can lie, object stores included: each
change takes the row out and puts another in, and of two such changes Lance refuses the later one.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Literal

import lance
import pyarrow as pa
from lance.commit import CommitConflictError

from pipelines.errors import BusyError, StoreError

from .datasets import create_dataset, open_dataset, read_fragments, write_rows

BEAT_SECONDS = 20.0
# Without a beat for this long, a holder is taken for dead wherever it ran.
EXPIRY = timedelta(seconds=6 * BEAT_SECONDS)
_VERSIONS_KEPT = timedelta(minutes=10)

_SCHEMA = pa.schema(
    [
        pa.field("token", pa.string(), nullable=False),  # "": nobody holds it
        pa.field("host", pa.string(), nullable=False),
        pa.field("pid", pa.int64(), nullable=False),
        pa.field("beat", pa.timestamp("us", "UTC"), nullable=False),
    ]
)
_log = logging.getLogger(__name__)
_held_here: set[str] = set()


class _TakenOverError(StoreError):
    """The row has somebody else's token."""


class Lease:
    """A context in which this process is the index's one committer.

    The lease of a process that died on this machine is taken over at once. That of any other is watched: it is taken
    over if there is no beat for `EXPIRY`, which only this machine's clock tells, and refused at the first one. A holder
    that was taken over by mistake (it was suspended, say) finds out when it next commits: by its `check`, and in any
    case by the sentinel of the tables.

    Args:
        uri: of the index, which must exist.

    Attributes:
        token: of this holder, 32 hex digits.
        predecessor: how the holder before ended. ``gone``: it gave the lease back, or there was none. ``killed``: it
            ran on this machine, and does not any more; it may have left files behind. ``silent``: it just stopped
            beating, so that it may wake up again.

    Raises:
        BusyError: on entering, if another process holds it; names the process.
    """

    def __init__(self, uri: str) -> None:
        self._index, self._uri = uri, f"{uri}/lease.lance"
        self.token = uuid.uuid4().hex
        self.predecessor: Literal["gone", "killed", "silent"] = "gone"
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._keep, name="duet-lease", daemon=True)

    def __enter__(self) -> Lease:
        create_dataset(self._uri, _row(""))
        try:
            dataset = self._free()
            self.predecessor = _end_of(_read(dataset))
            _swap(dataset, _row(self.token))
        except CommitConflictError as error:
            raise BusyError(f"another process just took the index {self._index}; wait until it has finished") from error
        _held_here.add(self.token)
        self._beats.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._beats.join()
        _held_here.discard(self.token)
        with suppress(StoreError, OSError):  # taken over, or out of reach: there is nothing left to give back
            _swap(self._own(), _row(""))

    def check(self) -> None:
        """Raise `StoreError` unless this process still holds the lease."""
        self._own()

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                _swap(self._own(), _row(self.token))
            except _TakenOverError:
                return  # `check` tells the committer
            except (StoreError, OSError):
                continue  # the store hiccups; `EXPIRY` leaves room for some beats

    def _own(self) -> lance.LanceDataset:
        """The table with this lease's own row in it."""
        dataset = open_dataset(self._uri)
        holder = _read(dataset)
        if holder["token"] != self.token:
            raise _TakenOverError(
                f"the index {self._index} was taken over by {_name(holder)}; this run commits nothing more"
            )
        return dataset

    def _free(self) -> lance.LanceDataset:
        """The table with the row of nobody in it, or of somebody dead."""
        dataset = open_dataset(self._uri)
        holder = _read(dataset)
        if holder["token"] and holder["host"] != socket.gethostname():
            _log.warning(
                "the index %s is held by %s; watching for %.0f s whether it still writes",
                self._index,
                _name(holder),
                EXPIRY.total_seconds(),
            )
            end = time.monotonic() + EXPIRY.total_seconds()
            while (now := _read(dataset)) == holder:
                if time.monotonic() > end:
                    return dataset
                time.sleep(EXPIRY.total_seconds() / 60)
                dataset = open_dataset(self._uri)
            holder = now
        if _lives(holder):
            raise BusyError(
                f"the index {self._index} is being written by {_name(holder)}; wait until it has finished, or stop it"
            )
        return dataset


def _swap(dataset: lance.LanceDataset, row: pa.Table) -> None:
    """Put `row` in the place of the one that was read. Raises `CommitConflictError` if it is another one by now."""
    operation = lance.LanceOperation.Update(
        removed_fragment_ids=[fragment.fragment_id for fragment in dataset.get_fragments()],
        new_fragments=read_fragments(write_rows(dataset, row)),
    )
    committed = lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)
    if committed.version % 64 == 0:
        committed.cleanup_old_versions(_VERSIONS_KEPT)


def _row(token: str) -> pa.Table:
    row = {"token": token, "host": socket.gethostname(), "pid": os.getpid(), "beat": datetime.now(UTC)}
    return pa.Table.from_pylist([row], schema=_SCHEMA)


def _read(dataset: lance.LanceDataset) -> dict[str, object]:
    """The row; the last to beat of two, which a holder that slept through ten minutes of others' beats can leave."""
    rows = dataset.to_table().sort_by([("beat", "descending")]).to_pylist()
    assert rows, f"{dataset.uri} has no row"
    row: dict[str, object] = rows[0]
    return row


def _end_of(holder: dict[str, object]) -> Literal["gone", "killed", "silent"]:
    """How a holder that is taken over ended."""
    if not holder["token"]:
        return "gone"
    pid = holder["pid"]
    assert isinstance(pid, int)
    here = holder["host"] == socket.gethostname()
    return "killed" if here and (pid == os.getpid() or not _is_running(pid)) else "silent"


def _lives(holder: dict[str, object]) -> bool:
    if not holder["token"]:
        return False
    if holder["host"] != socket.gethostname():
        return True  # for all that can be told at once
    pid = holder["pid"]
    assert isinstance(pid, int)
    if pid == os.getpid():  # in a container that was started again, a dead holder had our own number
        return holder["token"] in _held_here
    if not _is_running(pid):
        return False
    beat = holder["beat"]
    assert isinstance(beat, datetime)
    return datetime.now(UTC) - beat < EXPIRY


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _name(holder: dict[str, object]) -> str:
    return f"process {holder['pid']} on {holder['host']}" if holder["token"] else "nobody"
