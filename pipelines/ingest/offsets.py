"""How far the topics are taken in: a table of the index (``offsets.lance``), with a row for each partition."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pyarrow as pa

from pipelines.index.datasets import create_dataset, open_dataset
from pipelines.index.store import Index

_TABLE = "offsets"
_RETRIES = 100  # of a commit beside others
_CLEANED = 64  # versions, from one time to the next
_KEPT = timedelta(minutes=10)  # a commit looks for conflicts among the versions since it began to read
_SCHEMA = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # of the next message
    ]
)


class Offsets:
    """The offsets of one topic; those of other topics may be written at the same time.

    Args:
        index: that takes it in.
        topic: its name.
    """

    def __init__(self, index: Index, topic: str) -> None:
        self._uri, self._topic = index.table_uri(_TABLE), topic
        create_dataset(self._uri, _SCHEMA.empty_table())

    def read(self) -> dict[int, int]:
        """Partition -> offset of its next message; those that nothing is known of are not there."""
        rows = open_dataset(self._uri).to_table().to_pylist()
        return {row["partition"]: row["offset"] for row in rows if row["topic"] == self._topic}

    def write(self, following: Mapping[int, int]) -> None:
        """Put these in the place of what `read` says of the same partitions."""
        rows = [{"topic": self._topic, "partition": number, "offset": offset} for number, offset in following.items()]
        dataset = open_dataset(self._uri)
        merge = dataset.merge_insert(["topic", "partition"]).conflict_retries(_RETRIES)
        merge.when_matched_update_all().when_not_matched_insert_all().execute(
            pa.Table.from_pylist(rows, schema=_SCHEMA)
        )
        if dataset.version % _CLEANED == 0:
            dataset.cleanup_old_versions(_KEPT)
