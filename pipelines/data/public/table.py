"""A Parquet file that is written a batch at a time."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS = 8192  # in memory at once,
_BYTES = 32 << 20  # or as many as make so many bytes of pictures

ROLES = pa.schema([("item_id", pa.string()), ("attribute", pa.string()), ("role", pa.string()), ("class", pa.string())])
TRIPLETS = pa.schema([(name, pa.string()) for name in ("split", "attribute", "anchor", "positive", "negative")])


class Table:
    """Use it in a ``with``; rows are column -> value."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema)
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, row: dict[str, Any], size: int = 0) -> None:
        """Add a row with `size` bytes of picture."""
        self._rows.append(row)
        self._bytes += size
        if len(self._rows) >= _ROWS or self._bytes >= _BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, self._schema))
        self._rows, self._bytes = [], 0

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
