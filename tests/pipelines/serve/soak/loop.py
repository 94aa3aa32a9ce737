"""The loop: everybody who asks, changes, kills and looks, each in a thread with dice of their own."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from pipelines.rpc.duet.v1 import catalog_pb2, value_pb2
from pipelines.search.filters import Membership
from pipelines.search.request import SearchRequest
from pipelines.serve import client_calls as calls
from pipelines.serve.client_calls import Call
from pipelines.serve.errors import ServiceError
from tests.pipelines.serve.shop import make_checkpoint

from .answers import draw_request, fault, look
from .history import Asked, History
from .processes import Caller, Ingester, Server
from .snapshots import Snapshots

CORE = [f"core '{n}'" for n in range(24)]  # items that nobody changes
_CALM = 0.35, 0.75  # of a long run: the server is not killed, so that its memory can be watched
_LONG = 300.0  # seconds from which on a run is long


class Violation(Exception):
    """Something is not as it was promised."""


class Soak:
    """A run.

    Args:
        folder: for everything.
        seed: of all dice.
        seconds: how long.

    Attributes:
        counts: what was done, how often.
        violations: what should not have been.
    """

    def __init__(self, folder: Path, seed: int, seconds: float) -> None:
        self.folder, self.seed, self.seconds = folder, seed, seconds
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.history = History()
        self._lock = threading.Lock()
        self._versions = count(1)
        self._ended = threading.Event()
        self._floor = ""  # of what is acknowledged: no answer may be of an earlier snapshot
        self._writing = threading.Event()
        index = str(folder / "index")
        checkpoint = make_checkpoint(folder / "checkpoint", 0)
        first = self._manifest("first", {item_id: next(self._versions) for item_id in CORE})
        run_ingest(IngestSettings(manifest=[first], index=index, checkpoint=str(folder / "checkpoint"), threads=1))
        self.snapshots = Snapshots(index, checkpoint, self.history)
        self.snapshots.read()
        self.server = Server(index, folder / "server.log")
        self.ingester = Ingester(index, folder / "ingester.log")

    def run(self) -> None:
        """Run to the end; nothing is raised, everything counted."""
        self.server.start()
        self.started = time.monotonic()
        actors: list[tuple[str, Callable[[random.Random, Caller], None], tuple[float, float]]] = [
            ("search 1", self._search, (0.0, 0.1)),
            ("search 2", self._search, (0.0, 0.1)),
            ("pages", self._pages, (0.0, 2.0)),
            ("write 1", self._writer("one"), (0.0, 1.0)),
            ("write 2", self._writer("two"), (0.0, 1.0)),
            ("publish", self._publish, (2.0, 9.0)),
            ("ingest", self._ingest, (0.0, 4.0)),
            ("look", self._look, (0.1, 0.3)),
        ]
        threads = [threading.Thread(target=self._act, args=actor, name=actor[0]) for actor in actors]
        killer = threading.Thread(target=self._kill_servers, name="kill")
        for thread in (*threads, killer):
            thread.start()
        self._ended.wait(self.seconds)
        self._ended.set()
        killer.join()  # it leaves the server running, so that whoever waits is answered
        for thread in threads:
            thread.join()
        with self._noted("the end"):
            self._check_end()
        self.ingester.kill()
        self.server.kill()

    def _act(self, name: str, action: Callable[[random.Random, Caller], None], pause: tuple[float, float]) -> None:
        dice, caller = random.Random(f"{self.seed} {name}"), Caller(self.server)
        while not self._ended.is_set():
            with self._noted(name):
                action(dice, caller)
            self._ended.wait(dice.uniform(*pause))

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        try:
            yield
        except Violation as error:
            self._violated(f"{name}: {error}")
        except Exception:  # noqa: BLE001 - boundary: of a thread
            self._violated(f"{name}: {traceback.format_exc()}")

    def _violated(self, text: str) -> None:
        at = time.monotonic() - self.started
        with self._lock:
            self.violations.append(text)
        print(f"VIOLATION at {at:.1f} s: {text}", flush=True)

    def _counted(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1

    def _once(self, caller: Caller, call: Call[Any], name: str) -> Any:
        """The answer to a question; None while the server is down."""
        since = time.monotonic()
        try:
            answer = caller.ask(call)
        except ServiceError as error:
            if error.reason == "INDEX_BUSY" or not caller.expected(error, since):
                raise
            self._counted("asked while the server was down")
            time.sleep(0.1)
            return None
        self._counted(name)
        return answer

    def _search(self, dice: random.Random, caller: Caller) -> None:
        self._right(caller, draw_request(dice, self.snapshots.latest(), CORE), "searches")

    def _right(self, caller: Caller, request: SearchRequest, name: str) -> Any:
        """The answer to a search, which is compared with the oracle's; None while the server is down."""
        floor = self._floor
        result = self._once(caller, calls.search(request), name)
        if result is not None:
            if result.snapshot_id < floor:
                raise Violation(f"{result.snapshot_id} was asked, after a change was acknowledged in {floor}")
            world = self.snapshots.world(result.snapshot_id)
            wrong = fault(world, request, result.hits, result.total_candidates, request.page_size)
            if wrong:
                raise Violation(wrong)
        return result

    def _pages(self, dice: random.Random, caller: Caller) -> None:
        """The second page, some time after the first, perhaps of another server."""
        request = draw_request(dice, self.snapshots.latest(), CORE)
        first = self._right(caller, request, "searches")
        if first is None or not first.next_page_token:
            return
        life = len(self.server.lives)
        self._ended.wait(dice.choice((0.0, 1.0, 8.0)))
        further = SearchRequest(**{**vars(request), "page_token": first.next_page_token})
        try:
            second = self._once(caller, calls.search(further), "second pages")
        except ServiceError as error:
            if error.reason == "SNAPSHOT_EXPIRED" and first.snapshot_id not in self.snapshots.listed():
                self._counted("second pages of a retired snapshot")
                return
            raise
        if second is not None:
            if len(self.server.lives) > life:
                self._counted("second pages from another server")
            world = self.snapshots.world(first.snapshot_id)
            hits = (*first.hits, *second.hits)
            wrong = fault(world, request, hits, second.total_candidates, 2 * request.page_size)
            if wrong or second.snapshot_id != first.snapshot_id:
                raise Violation(f"the second page: {wrong or second.snapshot_id}")

    def _writer(self, name: str) -> Callable[[random.Random, Caller], None]:
        """Somebody who puts in and takes out items that nobody else does."""
        keys = [f"{name} '{n}'" for n in range(8)]
        done: list[tuple[Call[Any], Any]] = []

        def write(dice: random.Random, caller: Caller) -> None:
            if done and dice.random() < 0.15:
                call, before = dice.choice(done)
                again = self._written(caller, call)
                self._counted("requests that came again")
                if again != before:
                    raise Violation(f"a request was answered {before}, and when it came again {again}")
                return
            chosen = dice.sample(keys, dice.randint(1, 3))
            if dice.random() < 0.7:
                values: dict[str, int | None] = {key: next(self._versions) for key in chosen}
                call = self._upsert(values, broken=dice.random() < 0.2)
            else:
                values = dict.fromkeys(chosen)
                call = calls.delete(chosen, None)
            answer = self._acknowledged(caller, call, Asked(self._before(), values))
            done.append((call, answer))
            if values[chosen[0]] is None:
                right = answer.deleted_count + answer.absent_count == len(chosen)
                self._counted("deletions")
            else:
                right = (answer.changed_count, answer.unchanged_count) == (len(chosen), 0)
                right &= all(one.item_id == "broken" for one in answer.refused_items)
                self._counted("upserts")
            if not right:
                raise Violation(f"{values} was answered {answer}")
            versions = tuple(value or 0 for value in values.values())
            self._right(
                caller, SearchRequest(item_id=CORE[0], filter=Membership("price", versions), page_size=9), "looks"
            )

        return write

    @staticmethod
    def _upsert(values: dict[str, int | None], broken: bool) -> Call[Any]:
        items = [
            catalog_pb2.UpsertItem(
                item_id=item_id, image=look(version), metadata={"price": value_pb2.Value(int_value=version)}
            )
            for item_id, version in values.items()
            if version is not None
        ]
        return calls.upsert([*items, *[catalog_pb2.UpsertItem(item_id="broken", image=b"no picture")] * broken], None)

    def _publish(self, dice: random.Random, caller: Caller) -> None:
        """Roll back to one of the last snapshots, or publish what is there."""
        if dice.random() < 0.3:
            self._written(caller, calls.publish("", None))
            self._counted("publications")
            return
        target = dice.choice(self.snapshots.listed()[-6:])
        self._acknowledged(caller, calls.publish(target, None), Asked(self._before(), target=target))
        self._counted("rollbacks")

    def _acknowledged(self, caller: Caller, call: Call[Any], asked: Asked) -> Any:
        """Ask for a change until it is acknowledged."""
        self.history.ask(asked)
        answer = self._written(caller, call)
        snapshot_id = answer if isinstance(answer, str) else answer.snapshot.removeprefix("snapshots/")
        self.history.acknowledge(asked, snapshot_id)
        with self._lock:
            self._floor = max(self._floor, snapshot_id)
        return answer

    def _written(self, caller: Caller, call: Call[Any]) -> Any:
        self._writing.set()
        since = time.monotonic()
        try:
            return caller.ask_through(call)
        finally:
            self._writing.clear()
            if self.server.was_down(since):
                self._counted("changes through a kill")

    def _ingest(self, dice: random.Random, caller: Caller) -> None:
        """Another process changes items of its own, and is killed."""
        chosen = dice.sample([f"ingested '{n}'" for n in range(12)], dice.randint(1, 4))
        delete = dice.random() < 0.25
        values = {key: None if delete else next(self._versions) for key in chosen}
        asked = Asked(self._before(), values)
        self.history.ask(asked)
        path = self._manifest(f"ingested {next(self._versions)}", values)
        while True:
            killer = threading.Timer(dice.uniform(0.1, 2.5), self._kill_ingester)
            if dice.random() < 0.4:
                killer.start()
            said = self.ingester.run(path, delete)
            killer.cancel()
            if said is not None and not said["busy"]:
                break
            time.sleep(dice.uniform(0, 0.3))
        self.history.acknowledge(asked, said["snapshot"], exactly=False)
        self._counted("ingestions")

    def _kill_ingester(self) -> None:
        if self.ingester.kill():
            self._counted("kills of the ingestion")

    def _manifest(self, name: str, values: dict[str, int | None] | dict[str, int]) -> str:
        rows = [
            {"item_id": item_id, "image": None if version is None else look(version), "price": version}
            for item_id, version in values.items()
        ]
        schema = pa.schema([("item_id", pa.string()), ("image", pa.binary()), ("price", pa.int64())])
        path = self.folder / f"{name}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        return str(path)

    def _before(self) -> str:
        return self.snapshots.latest().view.snapshot_id

    def _look(self, dice: random.Random, caller: Caller) -> None:
        """Read what is published; now and then, whether it follows from what was asked."""
        self.snapshots.read()
        self.server.measure()
        if dice.random() < 0.02:
            self._check_history()

    def _check_history(self) -> None:
        faults = self.history.faults()
        if faults:
            raise Violation("; ".join(faults[:5]))
        self._counted("checks of the whole history")

    def _check_end(self) -> None:
        self.snapshots.read()
        self._check_history()
        items, caller, token = dict[str, Any](), Caller(self.server), ""
        world, end = self.snapshots.latest(), time.monotonic() + 30
        while caller.ask(calls.published()) != world.view.snapshot_id:  # it looks for what others publish now and then
            if time.monotonic() > end:
                raise Violation(f"{world.view.snapshot_id} is published, and not served")
            time.sleep(0.1)
        while True:
            page, token = caller.ask(calls.items(None, "", False, 20, token))
            items |= {item.item_id: item.metadata["price"] for item in page}
            if not token:
                break
        wanted = {item: row["price"] for item, row in zip(world.ids, world.metadata, strict=True)}
        if items != wanted:
            raise Violation(f"the server lists {items}, and {world.view.snapshot_id} has {wanted}")

    def _kill_servers(self) -> None:
        dice = random.Random(f"{self.seed} kill")
        calm = [share * self.seconds if self.seconds >= _LONG else 0.0 for share in _CALM]
        while not self._ended.wait(dice.uniform(3, 15)):
            if calm[0] <= time.monotonic() - self.started < calm[1]:
                continue
            if dice.random() < 0.8:  # in the middle of a change
                self._writing.wait(5)
                time.sleep(dice.uniform(0, 1.5))
            with self._noted("kill"):
                self.server.kill()
                self._counted("kills of the server")
                time.sleep(dice.uniform(0, 1))
                self.server.start()
