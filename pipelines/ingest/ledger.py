"""The ledger: what ``items`` says is indexed and ``dead_letters`` is refused, at the versions at which a run began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import lance
import pyarrow as pa

from pipelines.index.naming import DEAD_LETTERS, ITEMS
from pipelines.index.schema import is_one_of
from pipelines.index.store import Index


class Refusal(NamedTuple):
    """Why an item was refused when it last was: the picture's hash ("" if it could not be read), and the code."""

    image_hash: str
    code: str


@dataclass(frozen=True)
class Ledger:
    """Plain data: it may be sent to other processes, which open the tables themselves.

    Args:
        index_uri: of the index.
        generation: name of the generation.
        items: version of ``items``. Both are pinned, so that a reader that Ray starts a second time makes the same
            chunks.
        letters: version of ``dead_letters``.
    """

    index_uri: str
    generation: str
    items: int
    letters: int

    @classmethod
    def of(cls, index: Index, generation: str, datasets: Mapping[str, lance.LanceDataset]) -> Ledger:
        """The ledger of a generation with its tables as they are opened here."""
        return cls(index.uri, generation, datasets[ITEMS].version, datasets[DEAD_LETTERS].version)

    @cached_property
    def _items(self) -> lance.LanceDataset:
        return Index(self.index_uri).dataset(ITEMS, self.generation, self.items)

    @cached_property
    def _letters(self) -> lance.LanceDataset:
        return Index(self.index_uri).dataset(DEAD_LETTERS, self.generation, self.letters)

    def __reduce__(self) -> tuple[type[Ledger], tuple[str, str, int, int]]:
        return type(self), (self.index_uri, self.generation, self.items, self.letters)

    @property
    def schema(self) -> pa.Schema:
        """Schema of ``items``."""
        return self._items.schema

    @cached_property
    def metadata(self) -> pa.StructType:
        """Type of the metadata column."""
        return self.schema.field("metadata").type

    def hashes(self, item_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Those of the ids that are indexed, with (picture's hash, row's hash)."""
        rows = _find(self._items, item_ids, ["image_hash", "row_hash"])
        return {row["item_id"]: (row["image_hash"], row["row_hash"]) for row in rows}

    def refusals(self, item_ids: Sequence[str]) -> dict[str, Refusal]:
        """Those of the ids that have dead letters, with what the last one says."""
        rows = _find(self._letters, item_ids, ["attempt", "image_hash", "code"])
        rows.sort(key=lambda row: row["attempt"])
        return {row["item_id"]: Refusal(row["image_hash"], row["code"]) for row in rows}

    def thumbnails(self, item_ids: Sequence[str]) -> dict[str, bytes | None]:
        """The thumbnails of indexed items."""
        return {row["item_id"]: row["thumbnail"] for row in _find(self._items, item_ids, ["thumbnail"])}


def _find(table: lance.LanceDataset, item_ids: Sequence[str], columns: list[str]) -> list[dict[str, Any]]:
    if not item_ids:
        return []
    found: pa.Table = table.to_table(columns=["item_id", *columns], filter=is_one_of("item_id", item_ids))
    return found.to_pylist()
