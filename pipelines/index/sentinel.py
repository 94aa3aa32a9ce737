"""The sentinel: one row per table, which every commit takes out and puts back with a new *mark*.

``snapshots`` has one, too, without a mark (`pipelines.index.snapshot.sentinel_snapshot`).

Lance merges two commits that touch different rows. Since both of them take out the same sentinel, no two commits of a
table can ever merge: the later one is refused. Its mark says how far the table is: tables of a generation belong
together if and only if their marks are equal.
"""

from __future__ import annotations

import uuid

import lance
import pyarrow as pa
import pyarrow.compute as pc

# Sorts before every id (which hold no control characters).
_PREFIX = "\x01"
IS_SENTINEL = pc.field("item_id") < " "
FIRST_MARK = f"{0:020d}-first"


def new_mark(sequence: int) -> str:
    """A mark that no other commit has: high-water mark of the items' `sequence`, and what makes it unique."""
    return f"{sequence:020d}-{uuid.uuid4().hex}"


def mark_sequence(mark: str) -> int:
    """The high-water mark in a mark."""
    return int(mark.partition("-")[0])


def sentinel_row(schema: pa.Schema, mark: str) -> pa.Table:
    """The sentinel of a table with this schema: the mark in its key, nulls elsewhere."""
    columns = []
    for field in schema:
        if field.name == "item_id":
            columns.append(pa.array([_PREFIX + mark], pa.string()))
        elif field.nullable:
            columns.append(pa.nulls(1, field.type))
        else:
            columns.append(pa.array([""], field.type))  # `class`: a key, so not null; no class is called ""
    return pa.table(columns, schema=schema)


def read_mark(dataset: lance.LanceDataset) -> str | None:
    """The mark of a table at this version.

    None if it has not exactly one sentinel. Lance looks for conflicts among the versions that are still there, so a
    writer that slept until they were cleaned away can come through: such a version is nobody's.
    """
    ids = dataset.to_table(columns=["item_id"], filter=IS_SENTINEL)["item_id"].to_pylist()
    return str(ids[0]).removeprefix(_PREFIX) if len(ids) == 1 else None
