"""What was published, what was asked for and acknowledged, and whether the one follows from the other.

An item is known by its version: every change gives it another price, so a price says which change it is of.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

Versions = Mapping[str, int | None]  # item id -> price; None = not there


@dataclass(frozen=True)
class Asked:
    """A change that somebody asks for, until it is acknowledged.

    Args:
        before: the snapshot that was published then; what is asked for can only be in later ones.
        values: what items become.
        target: the snapshot that a rollback goes back to; "" for any other change.
    """

    before: str
    values: Versions = field(default_factory=dict)
    target: str = ""


@dataclass(frozen=True)
class Acknowledged:
    """A change that was acknowledged.

    Args:
        asked: the change.
        snapshot_id: the first snapshot with it, by its answer.
        exactly: whether it is in no earlier one. A process that ingests, is killed and started again can have
            published before what it names in the end.
    """

    asked: Asked
    snapshot_id: str
    exactly: bool = True


class History:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: dict[str, Mapping[str, int]] = {}
        self._pending: list[Asked] = []
        self._acknowledged: list[Acknowledged] = []

    def published(self, snapshot_id: str, contents: Mapping[str, int]) -> None:
        """A snapshot, and what was read in it."""
        with self._lock:
            self._contents[snapshot_id] = contents

    def ask(self, asked: Asked) -> None:
        """Somebody begins to ask for a change."""
        with self._lock:
            self._pending.append(asked)

    def acknowledge(self, asked: Asked, snapshot_id: str, exactly: bool = True) -> None:
        """It was acknowledged."""
        with self._lock:
            self._pending.remove(asked)
            self._acknowledged.append(Acknowledged(asked, snapshot_id, exactly))

    def faults(self) -> list[str]:
        """Every item of every snapshot that does not follow from the snapshot before and from what was asked."""
        with self._lock:
            contents = dict(sorted(self._contents.items()))
            pending, acknowledged = list(self._pending), list(self._acknowledged)
        keys = sorted(set().union(*contents.values(), *(one.asked.values for one in acknowledged)))
        faults, before = [], ""
        for snapshot_id, found in contents.items():
            if before:
                allowed = _Allowed(contents, before, snapshot_id, pending, acknowledged)
                for key in keys:
                    values = allowed.of(key)
                    if found.get(key) not in values:
                        faults.append(
                            f"{snapshot_id}: {key!r} is {found.get(key)}, was {contents[before].get(key)} in {before}, "
                            f"and should be one of {sorted(values, key=str)}"
                        )
            before = snapshot_id
        return faults


class _Allowed:
    """What items may be in a snapshot."""

    def __init__(
        self,
        contents: Mapping[str, Mapping[str, int]],
        before: str,
        snapshot_id: str,
        pending: list[Asked],
        acknowledged: list[Acknowledged],
    ) -> None:
        here = [one for one in acknowledged if before < one.snapshot_id <= snapshot_id]
        later = [one.asked for one in acknowledged if one.snapshot_id > snapshot_id and not one.exactly]
        self._changes = [one.asked for one in here if not one.asked.target]
        self._maybe = [one for one in (*pending, *later) if one.before < snapshot_id and not one.target]
        # To the published snapshot itself, nothing is rolled back.
        back = [one.asked.target for one in here if one.asked.target and one.asked.target != one.snapshot_id]
        maybe_back = [one.target for one in pending if one.target and one.before < snapshot_id]
        self._back = bool(back or maybe_back)
        self._bases = [contents[target] for target in back if target in contents] or [contents[before]]
        self._bases += [contents[target] for target in maybe_back if target in contents]

    def of(self, key: str) -> set[int | None]:
        """The values that an item may have."""
        bases = {base.get(key) for base in self._bases}
        new = {asked.values[key] for asked in self._changes if key in asked.values}
        maybe = {asked.values[key] for asked in self._maybe if key in asked.values}
        if new and not self._back:
            return new | maybe
        return bases | new | maybe  # a change and a rollback in one snapshot: either may have come first
