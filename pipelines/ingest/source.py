"""The pending rows of a manifest as a Ray Data source: one reader that streams chunks, a row each."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata
from ray.data.context import DataContext

from .pending import Pending
from .transport import chunk_schema, pack_chunk


class PendingSource(Datasource):
    """Chunks of `Pending`, in order.

    One reader, not one per part of the manifest: it only reads and compares, which is far faster than an encoder, and
    so each batch of the manifest meets the ledger once.
    """

    def __init__(self, pending: Pending) -> None:
        super().__init__()
        self._pending = pending

    def get_name(self) -> str:
        """As Ray shows it."""
        return "Pending"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown before it is read."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """One task, whatever the parallelism."""
        pending = self._pending

        def read() -> Iterable[pa.Table]:
            assert pending.ledger is not None
            schema = chunk_schema(pending.ledger.schema)
            for chunk in pending.chunks():
                yield pack_chunk(chunk, schema)

        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(read, unknown)]
