"""Receipts: what a worker wrote and did not commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class DeadLetter:
    """An item that could not be indexed.

    Args:
        item_id: of the item.
        stage: ``read``, ``decode`` or ``encode``.
        code: upper-snake reason, stable.
        message: for people.
        image_hash: SHA-256 (hex) of the picture's bytes; "" where they could not be read.
    """

    item_id: str
    stage: str
    code: str
    message: str
    image_hash: str = ""


@dataclass(frozen=True)
class Receipt:
    """One chunk's effect on the tables. Committing it twice is the same as committing it once.

    Args:
        sequence: of the items in it; receipts are committed in its order.
        replaced: ids whose rows leave every table; the new ones, if any, are in `fragments`.
        relabelled: ids whose rows leave ``items`` only: picture and embeddings stay as they are.
        fragments: table name -> fragments (JSON of `write_rows`) with the new rows.
        dead_letters: items of the chunk that could not be indexed; their rows stay as they are.
        vectors: how many embeddings the fragments hold.
        cleared: ids whose dead letters go, and nothing else: what they were about is over.
    """

    sequence: int
    replaced: tuple[str, ...] = ()
    relabelled: tuple[str, ...] = ()
    fragments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dead_letters: tuple[DeadLetter, ...] = ()
    vectors: int = 0
    cleared: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether committing it would change nothing."""
        return not (self.replaced or self.relabelled or self.dead_letters or self.cleared)

    def to_json(self) -> str:
        """JSON text; `from_json` reads it back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """Read what `to_json` wrote."""
        value = json.loads(text)
        return cls(
            value["sequence"],
            tuple(value["replaced"]),
            tuple(value["relabelled"]),
            {table: tuple(fragments) for table, fragments in value["fragments"].items()},
            tuple(DeadLetter(**letter) for letter in value["dead_letters"]),
            value["vectors"],
            tuple(value["cleared"]),
        )
