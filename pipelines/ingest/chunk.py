"""Chunks: pending rows that are embedded together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What an item of the manifest means for the index."""

    NEW = "new"
    CHANGED = "changed"
    RELABELLED = "relabelled"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    UNCHANGED_REFUSED = "unchanged_refused"  # as by the last letter; deleting the item makes it be tried again


@dataclass
class Chunk:
    """Pending rows that are embedded together, and what was passed over on the way to them.

    Args:
        sequence: grows from chunk to chunk.
        rows: dicts with item_id, action, image, image_hash, row_hash, image_uri, labels, metadata, thumbnail, code and
            message (of a refusal). One that is unchanged is there because its dead letters have to go.
        seen: rows of the manifest since the chunk before.
        passed: those of them that need nothing, by why.
        superseded: those of them that a later row overrules.
        seconds: time it took to find them.
        image_bytes: of the pictures in `rows`.
    """

    sequence: int
    rows: list[dict[str, Any]] = field(default_factory=list)
    seen: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    superseded: int = 0
    seconds: float = 0.0
    image_bytes: int = 0
