"""The items of a snapshot as candidates: who is one, what each carries, and how similar each is to a query.

Everything here is exact. Arrays are over the snapshot's N items in one order, their *positions* 0..N−1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import StoreError
from pipelines.index.naming import GLOBAL, attribute_table, class_table
from pipelines.index.schema import LIVE

from .carried import CarriedClasses
from .columns import EmbeddingColumn, Precision, embeddings
from .filters import Filter, filter_mask
from .grouping import group_codes
from .matrices import MatrixCache
from .ranking import id_ranks
from .reader import Reader

Space = tuple[Literal["attribute", "class", "global"], int]  # and its index, 0 of the global one


class Candidates:
    """One snapshot's items; what is read of it stays, embeddings as far as the cache's budget goes. Thread-safe.

    Args:
        reader: of the snapshot.
        cache: for embeddings; may be shared with other snapshots.
    """

    def __init__(self, reader: Reader, cache: MatrixCache) -> None:
        self._reader, self._cache = reader, cache
        self.taxonomy = reader.snapshot.taxonomy
        table = reader.items(["item_id", "image_uri", "metadata"]).combine_chunks()
        self._ids = table.column("item_id").combine_chunks()
        self._uris = table.column("image_uri")
        self.metadata = _columns(table.column("metadata"))
        self._groups: dict[str, NDArray[np.int64]] = {}
        self._read: dict[int, CarriedClasses] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ids)

    def warm(self, like: Candidates | None = None) -> None:
        """Read ahead what every search needs, and the embeddings that another snapshot's searches have needed.

        Args:
            like: of a snapshot with the same taxonomy, and the same cache; None = no embeddings.
        """
        assert self.id_ranks is not None and self._by_hash is not None
        for n in range(len(self.taxonomy.attributes)):
            self._carried(n)
        if like is not None:
            for snapshot_id, *rest in self._cache.residents():
                if snapshot_id == like._reader.snapshot.snapshot_id:
                    self._columns_by_key[tuple(rest)]().load()

    @cached_property
    def id_ranks(self) -> NDArray[np.int64]:
        """N, each id's place among the sorted ids: the tie-breaker."""
        return id_ranks(self._ids.to_pylist())

    def find(self, item_id: str) -> int | None:
        """Position of an item; None if the snapshot has none of that id."""
        hashes, positions = self._by_hash
        wanted = hash(item_id)
        for place in range(int(np.searchsorted(hashes, wanted)), len(hashes)):
            if hashes[place] != wanted:
                return None
            if self._ids[int(positions[place])].as_py() == item_id:
                return int(positions[place])
        return None

    @cached_property
    def _by_hash(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids' hashes, ascending, and their positions."""
        hashes = np.fromiter(map(hash, self._ids.to_pylist()), np.int64, len(self))
        order = np.argsort(hashes)
        return hashes[order], order

    def item_ids(self, positions: NDArray[np.int64]) -> list[str]:
        """The ids of items."""
        return self._ids.take(pa.array(positions)).to_pylist()

    def facts(self, positions: NDArray[np.int64]) -> list[tuple[str, str, dict[str, Any]]]:
        """Of items: id; where the picture lies, "" if the catalogue itself holds it; metadata that is not missing."""
        rows = pa.array(positions)
        uris = self._uris.take(rows).to_pylist()
        metadata = self.metadata.take(rows).to_pylist() if self.metadata.num_columns else [{}] * len(positions)
        return [
            (item_id, uri or "", {name: value for name, value in row.items() if value is not None})
            for item_id, uri, row in zip(self.item_ids(positions), uris, metadata, strict=True)
        ]

    def groups(self, column: str) -> NDArray[np.int64]:
        """Items with one value of a metadata column have one code -> N (`group_codes`)."""
        if column not in self._groups:
            self._groups[column] = group_codes(self.metadata.column(column))
        return self._groups[column]

    def allowed(self, filter_: Filter | None, excluded: Sequence[int], leave_out: int | None) -> NDArray[np.bool_]:
        """Which items are candidates: N.

        Args:
            filter_: as `check_filter` returned it.
            excluded: class indices that a candidate must not carry.
            leave_out: position of the query item.
        """
        mask = np.ones(len(self), np.bool_) if filter_ is None else filter_mask(filter_, self.metadata).copy()
        for class_index in excluded:
            mask &= ~self.carry(class_index)
        if leave_out is not None:
            mask[leave_out] = False
        return mask

    def carry(self, class_index: int) -> NDArray[np.bool_]:
        """Which items are predicted to carry a class: N bool."""
        n = self.taxonomy.attribute_of_class[class_index]
        return self._carried(n).carry(class_index - self.taxonomy.offsets[n])

    def probabilities(self, class_index: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of w items to carry a class: w; NaN for those that are not predicted to."""
        n = self.taxonomy.attribute_of_class[class_index]
        return self._carried(n).probabilities(class_index - self.taxonomy.offsets[n], positions)

    def carried_by(self, n: int, position: int) -> dict[int, float]:
        """Class indices of the n-th attribute that an item carries, with their probabilities."""
        offset = self.taxonomy.offsets[n]
        return {offset + code: probability for code, probability in self._carried(n).of(position).items()}

    @property
    def partition_from(self) -> int:
        """Candidates from which it pays to look for those that are near."""
        return self._cache.partition_from

    def in_memory(self, attributes: Iterable[int], classes: Iterable[int], merged: bool) -> bool:
        """Whether embeddings of some attributes, some classes and of global space can be kept, all at once."""
        columns = [self._attribute_column(n) for n in attributes] + [self._class_column(m) for m in classes]
        columns += [self._global_column()] if merged else []
        return sum(column.size for column in columns) <= self._cache.limit_bytes

    def near(
        self, space: Space, query: NDArray[np.float32], among: NDArray[np.bool_], least: int, *, shortlist: bool
    ) -> NDArray[np.int64] | None:
        """Those of the N items `among` that are near a query in a space (`EmbeddingColumn.near`)."""
        kind, number = space
        if kind == "attribute":
            column = self._attribute_column(number)
        else:
            column = self._class_column(number) if kind == "class" else self._global_column()
        return column.near(query, among, least, shortlist=shortlist)

    def attribute_similarity(
        self, n: int, query: NDArray[np.float32], wanted: NDArray[np.int64], precision: Precision = Precision.EXACT
    ) -> NDArray[np.float32]:
        """Cosine of w items with a query in the n-th attribute's space -> w."""
        return self._attribute_column(n).similarities(query, wanted, precision)

    def global_similarity(
        self, query: NDArray[np.float32], wanted: NDArray[np.int64], precision: Precision = Precision.EXACT
    ) -> NDArray[np.float32]:
        """Cosine of w items with a query in global space -> w."""
        return self._global_column().similarities(query, wanted, precision)

    def class_similarity(
        self,
        class_index: int,
        query: NDArray[np.float32],
        wanted: NDArray[np.int64],
        precision: Precision = Precision.EXACT,
    ) -> NDArray[np.float32]:
        """Cosine of w items with a query in a class's space -> w, NaN where not carried."""
        attribute, name = self.taxonomy.class_name(class_index)
        carry, column = self.carry(class_index), self._class_column(class_index)
        similarity = column.similarities(query, wanted, precision)
        if not np.array_equal(carry[wanted], ~np.isnan(similarity)):
            raise StoreError(f"{class_table(attribute)} disagrees with {attribute_table(attribute)} on {name!r}")
        return similarity

    def attribute_embedding(self, n: int, item_id: str) -> NDArray[np.float32]:
        """An item's embedding of the n-th attribute -> D, as it is stored."""
        position = self.find(item_id)
        kept = None if position is None else self._attribute_column(n).embedding(position)
        if kept is not None:
            return kept.astype(np.float32)
        rows = self._rows_of(attribute_table(self.taxonomy.names[n]), ["embedding"], item_id)
        if rows.num_rows != 1:
            raise StoreError(f"item {item_id!r} has {rows.num_rows} rows of attribute {self.taxonomy.names[n]!r}")
        return self._vectors(rows, self._reader.snapshot.width)[0]

    def class_embeddings(
        self, n: int, item_id: str, wanted: Sequence[int] | None = None
    ) -> dict[int, NDArray[np.float32]]:
        """An item's class embeddings of the n-th attribute, by class index, as they are stored.

        Args:
            n: the attribute.
            item_id: the item.
            wanted: class indices that are needed, where it carries them; None = all.
        """
        name, position = self.taxonomy.names[n], self.find(item_id)
        if position is not None:
            carried = [index for index in self.carried_by(n, position) if wanted is None or index in wanted]
            kept = {index: self._class_column(index).embedding(position) for index in carried}
            if all(vector is not None for vector in kept.values()):
                return {index: vector.astype(np.float32) for index, vector in kept.items() if vector is not None}
        rows = self._rows_of(class_table(name), ["class", "embedding"], item_id)
        indices = [self.taxonomy.class_index(name, label) for label in rows.column("class").to_pylist()]
        width = self._reader.snapshot.class_width
        assert width is not None
        return dict(zip(indices, self._vectors(rows, width), strict=True))

    def _vectors(self, rows: pa.Table, width: int) -> NDArray[np.float32]:
        return embeddings(rows.column("embedding").combine_chunks(), width).astype(np.float32)

    def _rows_of(self, table: str, columns: list[str], item_id: str) -> pa.Table:
        return self._table(table, columns, pc.field("item_id") == item_id)

    def _carried(self, n: int) -> CarriedClasses:
        if n not in self._read:
            with self._lock:
                attribute = self.taxonomy.attributes[n]
                table = attribute_table(attribute.name)
                rows = self._table(table, ["item_id", "classes", "probabilities"], LIVE)
                position = self._locate(table, rows.column("item_id"))
                if len(position) != len(self):
                    raise StoreError(f"table {table} has {len(position)} rows for {len(self)} items")
                self._read[n] = CarriedClasses.read(rows, position, attribute.classes)
        return self._read[n]

    def _locate(self, table: str, item_ids: pa.ChunkedArray) -> NDArray[np.int64]:
        """Positions of ids; they must be known and each there once."""
        found = pc.index_in(item_ids, value_set=self._ids)
        if found.null_count or pc.count_distinct(found).as_py() != len(found):
            raise StoreError(f"table {table} has rows of unknown items, or two of one item")
        return found.to_numpy().astype(np.int64)

    @cached_property
    def _columns_by_key(self) -> dict[tuple[str, ...], Callable[[], EmbeddingColumn]]:
        """Every column, by its key without the snapshot."""
        taxonomy, snapshot = self.taxonomy, self._reader.snapshot
        result: dict[tuple[str, ...], Callable[[], EmbeddingColumn]] = {}
        for n, name in enumerate(taxonomy.names):
            result[(attribute_table(name),)] = partial(self._attribute_column, n)
        if snapshot.class_width is not None:
            for m in range(taxonomy.class_count):
                attribute, name = taxonomy.class_name(m)
                result[class_table(attribute), name] = partial(self._class_column, m)
        if snapshot.global_width is not None:
            result[(GLOBAL,)] = self._global_column
        return result

    def _attribute_column(self, n: int) -> EmbeddingColumn:
        return self._column(attribute_table(self.taxonomy.names[n]), len(self), self._reader.snapshot.width)

    def _global_column(self) -> EmbeddingColumn:
        width = self._reader.snapshot.global_width
        assert width is not None
        return self._column(GLOBAL, len(self), width)

    def _class_column(self, class_index: int) -> EmbeddingColumn:
        attribute, name = self.taxonomy.class_name(class_index)
        width = self._reader.snapshot.class_width
        assert width is not None
        n = self.taxonomy.attribute_of_class[class_index]
        count = self._carried(n).number(class_index - self.taxonomy.offsets[n])
        return self._column(class_table(attribute), count, width, LIVE & (pc.field("class") == name), name)

    def _column(self, table: str, count: int, width: int, where: Any = LIVE, *key: str) -> EmbeddingColumn:
        return EmbeddingColumn(
            key=(self._reader.snapshot.snapshot_id, table, *key),
            count=count,
            width=width,
            scan=lambda: self._scan(table, ["item_id", "embedding"], where),
            locate=lambda ids: self._locate(table, ids),
            cache=self._cache,
        )

    def _scan(self, table: str, columns: list[str], where: Any) -> Any:
        return self._reader.dataset(table).to_batches(columns=columns, filter=where)

    def _table(self, table: str, columns: list[str], where: Any) -> pa.Table:
        batches = list(self._scan(table, columns, where))
        if batches:
            return pa.Table.from_batches(batches)
        schema = self._reader.dataset(table).schema
        return pa.schema([schema.field(column) for column in columns]).empty_table()


def _columns(structs: pa.ChunkedArray) -> pa.Table:
    """A column of structs as a table."""
    rows = structs.combine_chunks()
    columns = {field.name: pc.struct_field(rows, [n]) for n, field in enumerate(rows.type)}
    for name, column in columns.items():
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python's times have microseconds
            columns[name] = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return pa.table(columns)
