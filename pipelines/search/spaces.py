"""The embeddings of a snapshot's items: in the space of each attribute, of each class, and in global space."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import StoreError
from pipelines.index.naming import GLOBAL, attribute_table, class_table

from .carried import CarriedClasses
from .columns import EmbeddingColumn, embeddings
from .item_ids import ItemIds
from .matrices import MatrixCache
from .products import Vector
from .reader import Reader, read_rows
from .table_rows import TableRows

Space = tuple[Literal["attribute", "class", "global"], int]  # and the index of the attribute or class, else 0


class Spaces:
    """One snapshot's embeddings, which stay in memory as far as the cache's budget goes. Thread-safe.

    Args:
        reader: of the snapshot.
        cache: for embeddings; may be shared with other snapshots.
        ids: of the N items.
        carried: attribute index -> which items carry which of its classes.
    """

    def __init__(
        self, reader: Reader, cache: MatrixCache, ids: ItemIds, carried: Callable[[int], CarriedClasses]
    ) -> None:
        self._reader, self._cache, self._ids, self._carried = reader, cache, ids, carried
        self._taxonomy = reader.snapshot.taxonomy
        self._columns: dict[Space, EmbeddingColumn] = {}

    @property
    def partition_from(self) -> int:
        """Candidates from which it pays to look for those that are near."""
        return self._cache.partition_from

    def in_memory(self, spaces: Iterable[Space]) -> bool:
        """Whether the embeddings of some spaces can be kept, all at once."""
        return sum(self._column(space).size for space in spaces) <= self._cache.limit_bytes

    def resident(self, spaces: Iterable[Space]) -> bool:
        """Whether the embeddings of some spaces are in memory now."""
        return all(self._cache.kept(self._column(space).key) is not None for space in spaces)

    def load(self, spaces: Iterable[Space]) -> bool:
        """Read the embeddings of some spaces into memory, if they can be kept, all at once. Raises `StoreError`."""
        columns = [self._column(space) for space in spaces]
        if sum(column.size for column in columns) > self._cache.limit_bytes:
            return False
        for column in columns:
            column.load()
        return True

    def near(
        self, space: Space, query: Vector, among: NDArray[np.bool_], least: int, *, shortlist: bool
    ) -> NDArray[np.int64] | None:
        """Those of the N items `among` that are near a query in a space that is in memory (`EmbeddingColumn.near`)."""
        return self._column(space).near(query, among, least, shortlist=shortlist)

    def near_by_index(
        self, space: Space, query: Vector, among: NDArray[np.bool_], least: int
    ) -> NDArray[np.int64] | None:
        """The same by the index of the space's table (`EmbeddingColumn.near_by_index`)."""
        return self._column(space).near_by_index(query, among, least)

    def similarity(
        self, space: Space, query: Vector, wanted: NDArray[np.int64], *, sketched: bool = False
    ) -> NDArray[np.float32]:
        """Cosine of w items with a query in a space -> w; NaN in that of a class which an item does not carry.

        Args:
            space: of the query.
            query: of the space's width.
            wanted: w different positions.
            sketched: by their sketches (`EmbeddingColumn.sketched`).

        Raises:
            StoreError: the table is damaged.
        """
        column = self._column(space)
        similarity = column.sketched(query, wanted) if sketched else column.similarities(query, wanted)
        kind, number = space
        there = ~np.isnan(similarity)
        if kind == "class":
            n, code = self._class(number)
            if not np.array_equal(self._carried(n).carry(code)[wanted], there):
                attribute, name = self._taxonomy.class_name(number)
                raise StoreError(f"{class_table(attribute)} disagrees with {attribute_table(attribute)} on {name!r}")
        elif not there.all():
            raise StoreError(f"{column.rows} lacks embeddings of items; ingest it anew")
        return similarity

    def attribute_embedding(self, n: int, item_id: str) -> Vector:
        """An item's embedding of the n-th attribute -> D, as it is stored."""
        position = self._ids.find(item_id)
        kept = None if position is None else self._column(("attribute", n)).embedding(position)
        if kept is not None:
            return kept.astype(np.float32)
        name = self._taxonomy.names[n]
        rows = read_rows(self._reader, attribute_table(name), ["embedding"], pc.field("item_id") == item_id)
        if rows.num_rows != 1:
            raise StoreError(f"item {item_id!r} has {rows.num_rows} rows of attribute {name!r}")
        return _vectors(rows, self._reader.snapshot.width)[0]

    def class_embeddings(self, n: int, item_id: str, wanted: Sequence[int] | None = None) -> dict[int, Vector]:
        """An item's class embeddings of the n-th attribute, by class index, as they are stored.

        Args:
            n: the attribute.
            item_id: the item.
            wanted: class indices that are needed, where it carries them; None = all.
        """
        name, position = self._taxonomy.names[n], self._ids.find(item_id)
        if position is not None:
            carried = [self._taxonomy.offsets[n] + code for code in self._carried(n).of(position)]
            needed = carried if wanted is None else [index for index in carried if index in wanted]
            kept = {index: self._column(("class", index)).embedding(position) for index in needed}
            if all(vector is not None for vector in kept.values()):
                return {index: vector.astype(np.float32) for index, vector in kept.items() if vector is not None}
        rows = read_rows(self._reader, class_table(name), ["class", "embedding"], pc.field("item_id") == item_id)
        indices = [self._taxonomy.class_index(name, label) for label in rows.column("class").to_pylist()]
        width = self._reader.snapshot.class_width
        assert width is not None
        found = zip(indices, _vectors(rows, width), strict=True)
        return {index: vector for index, vector in found if wanted is None or index in wanted}

    def warm(self, like: Spaces) -> None:
        """Read ahead what another snapshot's searches have needed; its cache and its taxonomy are the same."""
        for snapshot_id, *rest in self._cache.residents():
            if snapshot_id == like._reader.snapshot.snapshot_id:
                self._column(self._by_key[tuple(rest)]).load()

    @cached_property
    def _by_key(self) -> dict[tuple[str, ...], Space]:
        """Every space, by its column's key without the snapshot."""
        snapshot, every = self._reader.snapshot, list[Space]()
        every += [("attribute", n) for n in range(len(self._taxonomy.names))]
        if snapshot.class_width is not None:
            every += [("class", m) for m in range(self._taxonomy.class_count)]
        if snapshot.global_width is not None:
            every.append(("global", 0))
        return {self._column(space).key[1:]: space for space in every}

    def _column(self, space: Space) -> EmbeddingColumn:
        if space not in self._columns:
            self._columns[space] = self._make_column(space)
        return self._columns[space]

    def _make_column(self, space: Space) -> EmbeddingColumn:
        kind, number = space
        snapshot, count, class_name = self._reader.snapshot, len(self._ids), None
        width: int | None
        if kind == "attribute":
            table, width = attribute_table(self._taxonomy.names[number]), snapshot.width
        elif kind == "global":
            table, width = GLOBAL, snapshot.global_width
        else:
            (attribute, class_name), (n, code) = self._taxonomy.class_name(number), self._class(number)
            table, width, count = class_table(attribute), snapshot.class_width, self._carried(n).number(code)
        assert width is not None, f"the model has no {kind} space"
        key = (snapshot.snapshot_id, table, *([] if class_name is None else [class_name]))
        return EmbeddingColumn(key, count, width, TableRows(self._reader, table, self._ids, class_name), self._cache)

    def _class(self, index: int) -> tuple[int, int]:
        """Attribute of a class, and its place within it."""
        n = self._taxonomy.attribute_of_class[index]
        return n, index - self._taxonomy.offsets[n]


def _vectors(rows: pa.Table, width: int) -> NDArray[np.float32]:
    return embeddings(rows.column("embedding").combine_chunks(), width).astype(np.float32)
