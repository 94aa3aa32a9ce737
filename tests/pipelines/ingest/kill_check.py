"""What the kill loop looks at after every kill: all that is published, against an oracle, with plain LanceDB."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import lancedb

from pipelines.errors import StoreError
from pipelines.index.naming import ITEMS
from pipelines.index.snapshot import Snapshot
from pipelines.index.store import Index

from .support import Entry, Oracle


@dataclass
class Check:
    """Looks at an index again and again; raises `AssertionError` at a violation.

    Args:
        index: where it is, or will be.
        oracles: by the digest of their model.

    Attributes:
        last: the id of the snapshot that was looked at last; ids never go back.
        contents: item ids with their states, by snapshot, as it was first seen.
    """

    index: Path
    oracles: dict[str, Oracle]
    last: str = ""
    contents: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)

    def __call__(self, before: dict[str, Entry], after: dict[str, Entry]) -> None:
        """What is published: every item is as in one of the two, and all tables say so."""
        try:
            snapshot = Index.open(self.index).latest()
        except StoreError:
            snapshot = None  # killed before there was an index
        if snapshot is None:
            assert not before, "what was published is gone"
            return
        assert snapshot.snapshot_id >= self.last, "an older snapshot came back"
        self.last = snapshot.snapshot_id
        fault = self.fault(snapshot, before, after)
        assert fault is None, fault
        for row in lancedb.connect(str(self.index)).open_table("snapshots").to_arrow().to_pylist():
            if row["snapshot_id"]:  # the sentinel has none
                (version,) = (entry["version"] for entry in row["tables"] if entry["table"] == ITEMS)
                found = self._items(row["generation"], version)
                assert self.contents.setdefault(row["snapshot_id"], found) == found, f"{row['snapshot_id']} changed"

    def _items(self, generation: str, version: int) -> dict[str, tuple[str, int]]:
        """Items of a snapshot with their states, by LanceDB alone."""
        table = lancedb.connect(str(self.index)).open_table(f"{generation}.{ITEMS}")
        table.checkout(version)
        items = table.to_arrow().select(["item_id", "image_hash", "metadata"]).to_pylist()
        return {one["item_id"]: (one["image_hash"], one["metadata"]["price"]) for one in items if one["item_id"] >= " "}

    def fault(self, snapshot: Snapshot, before: dict[str, Entry], after: dict[str, Entry]) -> str | None:
        """What is wrong with a snapshot, None if nothing is."""
        found = self._items(snapshot.generation, snapshot.versions[ITEMS])
        mixed: dict[str, Entry] = {}
        for item_id in {*found, *before, *after}:
            states = [one.get(item_id) for one in (before, after)]
            fits = [state for state in states if (None if state is None else _state(state)) == found.get(item_id)]
            if not fits:
                return f"{snapshot.snapshot_id}: {item_id!r} is {found.get(item_id)}, and should be one of {states}"
            if fits[0] is not None:
                mixed[item_id] = fits[0]
        try:
            self.oracles[snapshot.model_digest].check(Index.open(self.index), mixed, snapshot)
        except AssertionError as error:
            return f"{snapshot.snapshot_id}: the tables do not fit their items: {error}"
        return None


def _state(entry: Entry) -> tuple[str, int | None]:
    return entry.hash, entry.price
