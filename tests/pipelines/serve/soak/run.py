"""One run of the soak: what everybody in it shares, and what counts as right."""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from pipelines.search.request import SearchRequest
from pipelines.serve import client_calls as calls
from pipelines.serve.client_calls import Call
from pipelines.serve.errors import ServiceError
from tests.pipelines.serve.shop import make_checkpoint

from .answers import fault, look
from .history import Asked, History
from .processes import Caller, Ingester, Server
from .snapshots import Snapshots

CORE = [f"core '{n}'" for n in range(24)]  # items that nobody changes


class Violation(Exception):
    """Something is not as it was promised."""


class Run:
    """A run's processes, what was asked of them, and what was found.

    Args:
        folder: for everything.
        seed: of all dice.
        seconds: how long.

    Attributes:
        counts: what was done, how often.
        violations: what should not have been.
        history: of what was asked.
        snapshots: as they lie in the index.
        versions: numbers that no item has had.
        ended: whether time is up.
        writing: whether somebody waits for a change.
    """

    def __init__(self, folder: Path, seed: int, seconds: float) -> None:
        self.folder, self.seed, self.seconds = folder, seed, seconds
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.history = History()
        self._lock = threading.Lock()
        self.versions = count(1)
        self.ended = threading.Event()
        self._floor = ""  # of what is acknowledged: no answer may be of an earlier snapshot
        self.writing = threading.Event()
        index = str(folder / "index")
        checkpoint = make_checkpoint(folder / "checkpoint", 0)
        first = self.manifest("first", {item_id: next(self.versions) for item_id in CORE})
        run_ingest(IngestSettings(manifest=[first], index=index, checkpoint=str(folder / "checkpoint"), threads=1))
        self.snapshots = Snapshots(index, checkpoint, self.history)
        self.snapshots.read()
        self.server = Server(index, folder / "server.log")
        self.ingester = Ingester(index, folder / "ingester.log")
        self.started = time.monotonic()

    @contextmanager
    def noted(self, name: str) -> Iterator[None]:
        try:
            yield
        except Violation as error:
            self.violated(f"{name}: {error}")
        except Exception:  # noqa: BLE001 - boundary: of a thread
            self.violated(f"{name}: {traceback.format_exc()}")

    def violated(self, text: str) -> None:
        at = time.monotonic() - self.started
        with self._lock:
            self.violations.append(text)
        print(f"VIOLATION at {at:.1f} s: {text}", flush=True)

    def counted(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def once(self, caller: Caller, call: Call[Any], name: str) -> Any:
        """The answer to a question; None while the server is down."""
        since = time.monotonic()
        try:
            answer = caller.ask(call)
        except ServiceError as error:
            if error.reason == "INDEX_BUSY" or not caller.expected(error, since):
                raise
            self.counted("asked while the server was down")
            time.sleep(0.1)
            return None
        self.counted(name)
        return answer

    def right(self, caller: Caller, request: SearchRequest, name: str) -> Any:
        """The answer to a search, which is compared with the oracle's; None while the server is down."""
        floor = self._floor
        result = self.once(caller, calls.search(request), name)
        if result is not None:
            if result.snapshot_id < floor:
                raise Violation(f"{result.snapshot_id} was asked, after a change was acknowledged in {floor}")
            world = self.snapshots.world(result.snapshot_id)
            wrong = fault(world, request, result.hits, result.total_candidates, request.page_size)
            if wrong:
                raise Violation(wrong)
        return result

    def acknowledged(self, caller: Caller, call: Call[Any], asked: Asked) -> Any:
        """Ask for a change until it is acknowledged."""
        self.history.ask(asked)
        answer = self.written(caller, call)
        snapshot_id = answer if isinstance(answer, str) else answer.snapshot.removeprefix("snapshots/")
        self.history.acknowledge(asked, snapshot_id)
        with self._lock:
            self._floor = max(self._floor, snapshot_id)
        return answer

    def written(self, caller: Caller, call: Call[Any]) -> Any:
        self.writing.set()
        since = time.monotonic()
        try:
            return caller.ask_through(call)
        finally:
            self.writing.clear()
            if self.server.was_down(since):
                self.counted("changes through a kill")

    def manifest(self, name: str, values: dict[str, int | None] | dict[str, int]) -> str:
        rows = [
            {"item_id": item_id, "image": None if version is None else look(version), "price": version}
            for item_id, version in values.items()
        ]
        schema = pa.schema([("item_id", pa.string()), ("image", pa.binary()), ("price", pa.int64())])
        path = self.folder / f"{name}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        return str(path)

    def before(self) -> str:
        return self.snapshots.latest().view.snapshot_id
