"""What is published, read as it comes."""

from __future__ import annotations

import threading

import lance

from model.checkpoint import Checkpoint
from tests.pipelines.search.world import World

from .answers import Looks, Table, read_world
from .history import History


class Snapshots:
    """The snapshots of an index by plain Lance, every one of which goes into a history. Thread-safe."""

    def __init__(self, index: str, checkpoint: Checkpoint, history: History) -> None:
        self._index, self._checkpoint, self._history = index, checkpoint, history
        self._looks = Looks(checkpoint)
        self._lock = threading.Lock()
        self._worlds: dict[str, World] = {}

    def listed(self) -> list[str]:
        """Ids of the snapshots that there are."""
        rows = lance.dataset(f"{self._index}/snapshots.lance").to_table(columns=["snapshot_id"])
        return sorted(one for one in rows["snapshot_id"].to_pylist() if one)

    def read(self) -> None:
        """Read what is new. Raises `AssertionError` if its tables contradict each other, or items' own pictures."""
        with self._lock:
            for row in lance.dataset(f"{self._index}/snapshots.lance").to_table().to_pylist():
                snapshot_id = row["snapshot_id"]
                if not snapshot_id or snapshot_id in self._worlds:
                    continue
                prefix = f"{self._index}/{row['generation']}"
                tables = {
                    one["table"]: Table(f"{prefix}.{one['table']}.lance", one["version"]) for one in row["tables"]
                }
                world = read_world(tables, self._checkpoint, snapshot_id)
                self._looks.check(world)
                self._worlds[snapshot_id] = world
                self._history.published(
                    snapshot_id, {item: data["price"] for item, data in zip(world.ids, world.metadata, strict=True)}
                )

    def latest(self) -> World:
        """The last one that was read."""
        with self._lock:
            return self._worlds[max(self._worlds)]

    def world(self, snapshot_id: str) -> World:
        """One of them."""
        if snapshot_id not in self._worlds:
            self.read()
        return self._worlds[snapshot_id]
