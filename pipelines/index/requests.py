"""Requests: changes that were asked for under an id, so that the same one again is done once and answered alike.

They lie in the index (``requests.lance``): every server of it knows what any of them has done, also one that was
killed. A row is in one of three states:

- *begun*: written before the commit that it stands for, with the mark that ``items`` has after it;
- *done*: ``items`` had that mark, but what was answered is not written down. `Committer` looks before it commits
  anything else. Where the mark is another one, nothing of the commit was ever seen, and the row goes;
- *answered*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import lance
import pyarrow as pa
import pyarrow.compute as pc
from lance.commit import CommitConflictError
from lance.fragment import FragmentMetadata

from pipelines.errors import ConflictError

from .datasets import create_dataset, dataset_exists, delete_rows, open_dataset, read_fragments, write_rows
from .store import Index

_KEPT = 10_000  # requests, the last ones
_FRAGMENTS = 64  # from which on they are merged
_VERSIONS_KEPT = timedelta(minutes=10)
_ATTEMPTS = 5
_SCHEMA = pa.schema(
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("generation", pa.string(), nullable=False),  # that `mark` is of
        pa.field("before", pa.string(), nullable=False),  # the snapshot that was published when it began
        pa.field("counts", pa.string(), nullable=False),  # JSON
        pa.field("mark", pa.string()),
        pa.field("answer", pa.binary()),
    ]
)


@dataclass(frozen=True)
class Request:
    """What asks for a change.

    Args:
        request_id: the caller's own name for it, not "".
        digest: of all that it says.
    """

    request_id: str
    digest: str


@dataclass(frozen=True)
class Entry:
    """What is known of a request.

    Args:
        digest: of the request that had this id first.
        generation: that it changed first of all; "" if it changed nothing.
        before: id of the snapshot that was published when it began, "" if there was none.
        counts: how many items it was about, by what it did with them.
        begun: whether it is not known that it was done.
        answer: None until it is answered.
    """

    digest: str
    generation: str
    before: str
    counts: Mapping[str, int]
    begun: bool
    answer: bytes | None


class Requests:
    """The requests of an index. Whoever writes them holds its lease."""

    def __init__(self, index: Index) -> None:
        self._index, self._uri = index, index.table_uri("requests")

    def find(self, request_id: str) -> Entry | None:
        """What is known of a request; None if nothing is."""
        if not dataset_exists(self._uri):
            return None
        rows = open_dataset(self._uri).to_table(filter=pc.field("request_id") == request_id).to_pylist()
        if not rows:
            return None
        # One that was taken over in the middle of it can leave a row beside that of whoever did it then.
        row = max(rows, key=lambda row: (row["answer"] is not None, row["mark"] is None))
        counts = json.loads(row["counts"])
        return Entry(row["digest"], row["generation"], row["before"], counts, row["mark"] is not None, row["answer"])

    def begin(self, request: Request, generation: str, mark: str, counts: Mapping[str, int] | None = None) -> None:
        """Write down what is about to be committed.

        Args:
            request: that asks for it.
            generation: that is changed.
            mark: of its ``items`` when that is done.
            counts: see `Entry`.
        """
        latest = self._index.latest()
        row = _row(request, generation, latest.snapshot_id if latest else "", counts or {}, mark, None)
        create_dataset(self._uri, _SCHEMA.empty_table())
        lance.write_dataset(_table([row]), self._uri, mode="append")

    def settle(self, generation: str, mark: str) -> None:
        """Find out which of those that were begun in a generation were done: the one that left this mark."""
        if not dataset_exists(self._uri):
            return
        begun = (pc.field("generation") == generation) & pc.field("mark").is_valid()
        rows = open_dataset(self._uri).to_table(filter=begun).to_pylist()
        if rows:
            self._replace(begun, [{**row, "mark": None} for row in rows if row["mark"] == mark])

    def answered(self, request: Request, answer: bytes) -> None:
        """Write down what a request was answered."""
        create_dataset(self._uri, _SCHEMA.empty_table())
        self._replace(pc.field("request_id") == request.request_id, [_row(request, "", "", {}, None, answer)])

    def _replace(self, gone: pc.Expression, rows: Sequence[Mapping[str, Any]]) -> None:
        """Put rows in the place of others. Raises `ConflictError` if others write all the time."""
        for _ in range(_ATTEMPTS):
            dataset = open_dataset(self._uri)
            merged = len(dataset.get_fragments()) >= _FRAGMENTS
            if merged:
                rest = dataset.to_table(filter=~gone).sort_by("at")
                new = pa.concat_tables([rest.slice(max(0, rest.num_rows - _KEPT)), _table(rows)])
                removed = [fragment.fragment_id for fragment in dataset.get_fragments()]
                updated: list[FragmentMetadata] = []
            else:
                new = _table(rows)
                removed, updated = delete_rows(dataset, gone)
            operation = lance.LanceOperation.Update(
                removed_fragment_ids=removed,
                updated_fragments=updated,
                new_fragments=read_fragments(write_rows(dataset, new)),
            )
            try:
                committed = lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)
            except CommitConflictError:
                continue
            if merged:
                committed.cleanup_old_versions(_VERSIONS_KEPT)
            return
        raise ConflictError(f"{self._uri} kept changing")


def _row(
    request: Request, generation: str, before: str, counts: Mapping[str, int], mark: str | None, answer: bytes | None
) -> dict[str, Any]:
    return {
        "request_id": request.request_id,
        "digest": request.digest,
        "at": datetime.now(UTC),
        "generation": generation,
        "before": before,
        "counts": json.dumps(counts),
        "mark": mark,
        "answer": answer,
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=_SCHEMA)
