"""The nearest items of every query of retrieval, a row each: what contact sheets of several systems are drawn from.

Columns: ``attribute``, ``item_id`` and ``class`` as in `query_table`, and in its order; then ``nearest``, the ids of
the first `scores.NEAREST` items of the ranking, and ``hit``, whether each is relevant.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from .embedded import Embedded
from .query_table import about, by_item
from .retrieval import RetrievalResult
from .table_file import read_table, save_table

FILE = "neighbours.parquet"
_SCHEMA = pa.schema(
    [
        ("attribute", pa.string()),
        ("item_id", pa.string()),
        ("class", pa.string()),
        ("nearest", pa.list_(pa.string())),
        ("hit", pa.list_(pa.bool_())),
    ]
)


def neighbour_table(embedded: Embedded, result: RetrievalResult) -> pa.Table:
    """The nearest items of all queries of all attributes."""
    blocks = []
    for name, scores in result.attributes.items():
        ids, classes = about(embedded, scores)
        nearest = [[embedded.item_ids[item] for item in row if item >= 0] for row in scores.nearest.tolist()]
        hit = [row[: len(found)] for row, found in zip(scores.hit.tolist(), nearest, strict=True)]
        columns = [[name] * len(ids), ids, classes, nearest, hit]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
        blocks.append(by_item(pa.table(arrays, schema=_SCHEMA)))
    return pa.concat_tables([_SCHEMA.empty_table(), *blocks])


def save_neighbours(table: pa.Table, folder: Path) -> None:
    """Write ``neighbours.parquet`` into an evaluation's folder, at once."""
    save_table(table, folder / FILE)


def read_neighbours(folder: Path) -> pa.Table:
    """The nearest items of an evaluation's queries, from its folder. Raises `DuetError` where it has none."""
    return read_table(folder / FILE, "nearest items", _SCHEMA.names)
