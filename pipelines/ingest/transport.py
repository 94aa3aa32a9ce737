"""Chunks and receipts on their way through Ray: one row each.

Ray Data cuts and joins blocks by size; a chunk that is a single row stays whole whatever it does.
"""

from __future__ import annotations

import pyarrow as pa

from pipelines.index.receipt import Receipt

from .chunk import Chunk
from .report import Report


def chunk_schema(items: pa.Schema) -> pa.Schema:
    """Schema of the rows of a chunk, for an ``items`` table of this schema."""
    return pa.schema(
        [
            items.field("item_id"),
            pa.field("action", pa.string()),
            pa.field("image", pa.large_binary()),
            items.field("image_hash"),
            items.field("row_hash"),
            items.field("image_uri"),
            items.field("labels"),
            items.field("metadata"),
            items.field("thumbnail"),
            pa.field("code", pa.string()),
            pa.field("message", pa.string()),
        ]
    )


def pack_chunk(chunk: Chunk, schema: pa.Schema) -> pa.Table:
    """A chunk as one row."""
    rows = pa.Table.from_pylist(chunk.rows, schema=schema)
    return pack(chunk.sequence, rows, Report.of(chunk))


def pack(sequence: int, rows: pa.Table, report: Report) -> pa.Table:
    """Rows of a chunk and what is known of it, as one row: sequence, rows (Arrow IPC), report (JSON)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    content = sink.getvalue()
    ends = pa.array([0, content.size], pa.int64()).buffers()[1]
    packed = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, ends, content])  # without a copy
    return pa.table({"sequence": [sequence], "rows": packed, "report": [report.to_json()]})


def unpack(row: pa.Table) -> tuple[int, pa.Table, Report]:
    """What `pack` packed."""
    assert row.num_rows == 1, row.num_rows
    packed = row["rows"][0].as_buffer()
    return row["sequence"][0].as_py(), pa.ipc.open_stream(packed).read_all(), Report.from_json(row["report"][0].as_py())


def pack_receipt(receipt: Receipt, report: Report) -> pa.Table:
    """A receipt and its report as one row."""
    return pa.table({"receipt": [receipt.to_json()], "report": [report.to_json()]})


def unpack_receipt(row: pa.Table) -> tuple[Receipt, Report]:
    """What `pack_receipt` packed."""
    assert row.num_rows == 1, row.num_rows
    return Receipt.from_json(row["receipt"][0].as_py()), Report.from_json(row["report"][0].as_py())
