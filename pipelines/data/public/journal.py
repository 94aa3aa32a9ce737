"""What an import read, left out and noticed: the larger part of its report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

_EXAMPLES = 5


class Tally:
    """How often each reason occurred, and the first few places of each."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.places: dict[str, list[str]] = {}

    def add(self, reason: str, place: str) -> None:
        """Count one more; `place` names file and line."""
        self.counts[reason] += 1
        places = self.places.setdefault(reason, [])
        if len(places) < _EXAMPLES:
            places.append(place)

    def to_json(self) -> dict[str, Any]:
        """Reason -> count and examples."""
        return {reason: {"count": self.counts[reason], "examples": self.places[reason]} for reason in self.places}


class Journal:
    """The files that were read, what was left out of them, and what is odd but was kept."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.skipped = Tally()
        self.noticed = Tally()

    def opened(self, path: Path) -> None:
        """Remember that a file is read."""
        if path not in self.files:
            self.files.append(path)

    def skip(self, reason: str, place: str) -> None:
        """Something is left out."""
        self.skipped.add(reason, place)

    def notice(self, reason: str, place: str) -> None:
        """Something is odd, but kept."""
        self.noticed.add(reason, place)

    def to_json(self) -> dict[str, Any]:
        """``files``, ``skipped`` and ``noticed``."""
        return {
            "files": [str(path) for path in self.files],
            "skipped": self.skipped.to_json(),
            "noticed": self.noticed.to_json(),
        }
