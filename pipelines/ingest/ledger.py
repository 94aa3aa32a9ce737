"""The ledger: what ``items`` says is indexed, at the version at which a run began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import lance
import pyarrow as pa

from pipelines.index.naming import ITEMS
from pipelines.index.schema import is_one_of
from pipelines.index.store import Index


@dataclass(frozen=True)
class Ledger:
    """Plain data: it may be sent to other processes, which open the table themselves.

    Args:
        index_uri: of the index.
        generation: name of the generation.
        version: of ``items``. It is pinned, so that a reader that Ray starts a second time makes the same chunks.
    """

    index_uri: str
    generation: str
    version: int

    @cached_property
    def _items(self) -> lance.LanceDataset:
        return Index(self.index_uri).dataset(ITEMS, self.generation, self.version)

    def __reduce__(self) -> tuple[type[Ledger], tuple[str, str, int]]:
        return type(self), (self.index_uri, self.generation, self.version)

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
        rows = self._find(item_ids, ["image_hash", "row_hash"])
        return {row["item_id"]: (row["image_hash"], row["row_hash"]) for row in rows}

    def thumbnails(self, item_ids: Sequence[str]) -> dict[str, bytes | None]:
        """The thumbnails of indexed items."""
        return {row["item_id"]: row["thumbnail"] for row in self._find(item_ids, ["thumbnail"])}

    def _find(self, item_ids: Sequence[str], columns: list[str]) -> list[dict[str, Any]]:
        if not item_ids:
            return []
        found: pa.Table = self._items.to_table(columns=["item_id", *columns], filter=is_one_of("item_id", item_ids))
        return found.to_pylist()
