"""The lease of an index: whoever holds it is its one committer.

It is a row in a small Lance table, so that taking it is atomic wherever an index can lie, object stores included: each
change takes the row out and puts another in, and of two such changes Lance refuses the later one.

The row also keeps, whoever holds it, from when on files may be removed that earlier holders wrote and never committed.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal

import lance
import pyarrow as pa
from lance.commit import CommitConflictError

from pipelines.errors import BusyError, ConflictError, StoreError

from .datasets import create_dataset, open_dataset, read_fragments, write_rows

BEAT_SECONDS = 20.0
# Without a beat for this long, a holder is taken for dead wherever it ran.
EXPIRY = timedelta(seconds=6 * BEAT_SECONDS)
# A holder that fell silent may wake up, and add what it was just writing to a table: an index, merged fragments.
_GRACE = timedelta(days=1)
_AT_ONCE = datetime.fromtimestamp(0, UTC)
_VERSIONS_KEPT = timedelta(minutes=10)

_SCHEMA = pa.schema(
    [
        pa.field("token", pa.string(), nullable=False),  # "": nobody holds it
        pa.field("host", pa.string(), nullable=False),  # and `_Holder.removable` behind a "|", if there is one
        pa.field("pid", pa.int64(), nullable=False),
        pa.field("beat", pa.timestamp("us", "UTC"), nullable=False),
    ]
)
_log = logging.getLogger(__name__)
_held_here: set[str] = set()


class _TakenOverError(ConflictError):
    """The row has somebody else's token."""


@dataclass(frozen=True)
class _Holder:
    """The row.

    Args:
        token: of the holder; "" = nobody.
        host: where it runs (`_host`); of nobody, where the last one ran.
        pid: of its process there.
        beat: when it last wrote the row, by its own clock.
        removable: from when on what earlier holders wrote and never committed may be removed; None = there is nothing.
    """

    token: str
    host: str
    pid: int
    beat: datetime
    removable: datetime | None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.partition(' ')[0]}" if self.token else "nobody"

    @property
    def runs_here(self) -> bool:
        """Whether its process would be seen, if it still ran."""
        return self.host == _host()

    def lives(self) -> bool:
        """Whether it still writes, for all that can be told at once."""
        if not self.token:
            return False
        if not self.runs_here:
            return True
        return self._runs() and (self.pid == os.getpid() or datetime.now(UTC) - self.beat < EXPIRY)

    def end(self) -> Literal["gone", "killed", "silent"]:
        """How it ended, if it is taken over."""
        if not self.token:
            return "gone"
        return "killed" if self.runs_here and (self.pid == os.getpid() or not self._runs()) else "silent"

    def _runs(self) -> bool:
        # A container that was started again may have its predecessor's namespace by number, and we its holder's number.
        return self.token in _held_here if self.pid == os.getpid() else _is_running(self.pid)


class Lease:
    """A context in which this process is the index's one committer.

    The lease of a process that died on this machine is taken over at once. That of one on another machine, in another
    container or from before this machine was started is watched: it is taken over if there is no beat for `EXPIRY`,
    which only this machine's clock tells, and refused at the first one. A holder that was taken over by mistake (it was
    suspended, say) finds out when it next commits: by its `check`, and in any case by the sentinel of the tables.

    Args:
        uri: of the index, which must exist.

    Attributes:
        token: of this holder, 32 hex digits.
        predecessor: what the holders before left. ``gone``: nothing that could be removed now. ``killed``: files that
            nobody will commit, until `forget_orphans`; one ran on this machine and does not any more, or gave the lease
            back after an error. ``silent``: the last one just stopped beating, so that it may wake up again.

    Raises:
        BusyError: on entering, if another process holds it; names the process.
    """

    def __init__(self, uri: str) -> None:
        self._index, self._uri = uri, f"{uri}/lease.lance"
        self.token = uuid.uuid4().hex
        self.predecessor: Literal["gone", "killed", "silent"] = "gone"
        self._removable: datetime | None = None
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._keep, name="duet-lease", daemon=True)

    def __enter__(self) -> Lease:
        _held_here.add(self.token)  # before another thread can read its row
        try:
            self._take()
        except BaseException:
            _held_here.discard(self.token)
            raise
        self._beats.start()
        return self

    def _take(self) -> None:
        create_dataset(self._uri, self._row(""))
        try:
            dataset = self._free()
            self._succeed(_read(dataset))
            _swap(dataset, self._row(self.token))
        except CommitConflictError as error:
            raise BusyError(f"another process just took the index {self._index}; wait until it has finished") from error
        except OSError as error:
            self._say_where(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._beats.join()
        _held_here.discard(self.token)
        if error is not None:
            self._removable = self._removable or _AT_ONCE
        if isinstance(error, OSError):
            self._say_where(error)
        with suppress(StoreError, OSError):  # taken over, or out of reach: there is nothing left to give back
            _swap(self._own(), self._row(""))

    def check(self) -> None:
        """Raise `StoreError` unless this process still holds the lease."""
        self._own()

    def forget_orphans(self) -> None:
        """Say that the files which earlier holders left behind are removed."""
        self.predecessor, self._removable = "gone", None

    def _say_where(self, error: OSError) -> None:
        """Most of Lance's errors do not."""
        error.add_note(f"the index {self._index} was being written")

    def _succeed(self, holder: _Holder) -> None:
        """Take note of what a holder left that is taken over."""
        self.predecessor, self._removable = holder.end(), holder.removable
        if self.predecessor == "silent":
            self._removable = datetime.now(UTC) + _GRACE
            return
        if self.predecessor == "killed":
            self._removable = self._removable or _AT_ONCE
        due = self._removable is not None and self._removable <= datetime.now(UTC)
        self.predecessor = "killed" if due else "gone"

    def _row(self, token: str) -> pa.Table:
        host = _host() if self._removable is None else f"{_host()}|{self._removable.isoformat()}"
        row = {"token": token, "host": host, "pid": os.getpid(), "beat": datetime.now(UTC)}
        return pa.Table.from_pylist([row], schema=_SCHEMA)

    def _keep(self) -> None:
        works = True
        while not self._stop.wait(BEAT_SECONDS):
            try:
                _swap(self._own(), self._row(self.token))
                works = True
            except _TakenOverError:
                return  # `check` tells the committer
            except Exception as error:  # noqa: BLE001 - boundary: `EXPIRY` leaves room for some beats
                if works:
                    _log.warning("the lease of the index %s is not renewed; trying again: %s", self._index, error)
                works = False

    def _own(self) -> lance.LanceDataset:
        """The table with this lease's own row in it."""
        dataset = open_dataset(self._uri)
        holder = _read(dataset)
        if holder.token != self.token:
            raise _TakenOverError(f"the index {self._index} was taken over by {holder}; this run commits nothing more")
        return dataset

    def _free(self) -> lance.LanceDataset:
        """The table with the row of nobody in it, or of somebody dead."""
        dataset = open_dataset(self._uri)
        holder = _read(dataset)
        if holder.token and not holder.runs_here:
            _log.warning(
                "the index %s is held by %s; watching for %.0f s whether it still writes",
                self._index,
                holder,
                EXPIRY.total_seconds(),
            )
            end = time.monotonic() + EXPIRY.total_seconds()
            while (now := _read(dataset)) == holder:
                if time.monotonic() > end:
                    return dataset
                time.sleep(EXPIRY.total_seconds() / 60)
                dataset = open_dataset(self._uri)
            holder = now
        if holder.lives():
            raise BusyError(
                f"the index {self._index} is being written by {holder}; wait until it has finished, or stop it"
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


def _read(dataset: lance.LanceDataset) -> _Holder:
    """The row; the last to beat of two, which a holder that slept through ten minutes of others' beats can leave."""
    rows = dataset.to_table().sort_by([("beat", "descending")]).to_pylist()
    assert rows, f"{dataset.uri} has no row"
    row = rows[0]
    host, _, removable = row["host"].partition("|")
    since = datetime.fromisoformat(removable) if removable else None
    return _Holder(row["token"], host, row["pid"], row["beat"], since)


def _host() -> str:
    """The name of this machine, and what separates process numbers that mean others: starts of it, and containers.

    Containers can share a name. The number of a namespace is given again only when all processes in it are dead.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux: there are no such containers
        boot, namespace = "", 0
    return f"{socket.gethostname()} {boot}/{namespace}"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
