"""What became of a chunk; the driver adds reports up for the closing table."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from .chunk import Action, Chunk

STAGES = ("read", "decode", "encode", "write", "commit", "publish")


@dataclass
class Report:
    """Counts and seconds; reports add up.

    Args:
        seen: rows of the manifest.
        actions: items by what was done with them.
        superseded: rows that a later row with the same id overruled.
        refusals: refused items by code.
        seconds: by stage; of worker processes that ran side by side, their sum.
    """

    seen: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    superseded: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, chunk: Chunk) -> Report:
        """What is known of a chunk before it is embedded."""
        actions = Counter({str(action): count for action, count in chunk.passed.items()})
        actions.update(str(row["action"]) for row in chunk.rows)
        refusals = Counter(row["code"] for row in chunk.rows if row["action"] == Action.REFUSED)
        return cls(chunk.seen, actions, chunk.superseded, refusals, {"read": chunk.seconds})

    def refuse(self, action: str, code: str) -> None:
        """An item that was to be embedded cannot be."""
        self.actions[action] -= 1
        self.actions[Action.REFUSED] += 1
        self.refusals[code] += 1

    def add(self, other: Report) -> None:
        """Add another report to this one."""
        self.seen += other.seen
        self.superseded += other.superseded
        self.actions.update(other.actions)
        self.refusals.update(other.refusals)
        for stage, seconds in other.seconds.items():
            self.spend(stage, seconds)

    def spend(self, stage: str, seconds: float) -> None:
        """Add to a stage's time."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @property
    def encoded(self) -> int:
        """Items that went through the encoder into the index."""
        return self.actions[Action.NEW] + self.actions[Action.CHANGED]

    @property
    def balanced(self) -> bool:
        """Whether every row that was seen is accounted for."""
        return self.seen == self.actions.total() + self.superseded

    def to_json(self) -> str:
        """JSON text; `from_json` reads it back."""
        return json.dumps(self.__dict__)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote."""
        value = json.loads(text)
        return cls(
            value["seen"],
            Counter(value["actions"]),
            value["superseded"],
            Counter(value["refusals"]),
            value["seconds"],
        )
