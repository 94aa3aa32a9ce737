"""The loop: everybody who asks, changes, kills and looks, each in a thread with dice of their own."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from pipelines.serve import client_calls as calls

from .changing import ingest, publish, writer
from .processes import Caller
from .run import Run, Violation
from .searching import pages, search

_CALM = 0.35, 0.75  # of a long run: the server is not killed, so that its memory can be watched
_LONG = 300.0  # seconds from which on a run is long


class Soak(Run):
    """A run, and its threads."""

    def go(self) -> None:
        """Run to the end; nothing is raised, everything counted."""
        self.server.start()
        self.started = time.monotonic()
        actors: list[tuple[str, Callable[[random.Random, Caller], None], tuple[float, float]]] = [
            ("search 1", partial(search, self), (0.0, 0.1)),
            ("search 2", partial(search, self), (0.0, 0.1)),
            ("pages", partial(pages, self), (0.0, 2.0)),
            ("write 1", writer(self, "one"), (0.0, 1.0)),
            ("write 2", writer(self, "two"), (0.0, 1.0)),
            ("publish", partial(publish, self), (2.0, 9.0)),
            ("ingest", partial(ingest, self), (0.0, 4.0)),
            ("look", self._look, (0.1, 0.3)),
        ]
        threads = [threading.Thread(target=self._act, args=actor, name=actor[0]) for actor in actors]
        killer = threading.Thread(target=self._kill_servers, name="kill")
        for thread in (*threads, killer):
            thread.start()
        self.ended.wait(self.seconds)
        self.ended.set()
        killer.join()  # it leaves the server running, so that whoever waits is answered
        for thread in threads:
            thread.join()
        with self.noted("the end"):
            self._check_end()
        self.ingester.kill()
        self.server.kill()

    def _act(self, name: str, action: Callable[[random.Random, Caller], None], pause: tuple[float, float]) -> None:
        dice, caller = random.Random(f"{self.seed} {name}"), Caller(self.server)
        while not self.ended.is_set():
            with self.noted(name):
                action(dice, caller)
            self.ended.wait(dice.uniform(*pause))

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
        self.counted("checks of the whole history")

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
        while not self.ended.wait(dice.uniform(3, 15)):
            if calm[0] <= time.monotonic() - self.started < calm[1]:
                continue
            if dice.random() < 0.8:  # in the middle of a change
                self.writing.wait(5)
                time.sleep(dice.uniform(0, 1.5))
            with self.noted("kill"):
                self.server.kill()
                self.counted("kills of the server")
                time.sleep(dice.uniform(0, 1))
                self.server.start()
