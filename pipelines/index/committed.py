"""What is committed of a generation at one moment, published or not."""

from __future__ import annotations

import time
from functools import partial

import lance

from pipelines.errors import StoreError

from .datasets import beside
from .generation import Generation
from .naming import ITEMS
from .sentinel import read_mark
from .store import Index

_TRIES, _PAUSE_S = 20, 0.25
_BACK = 4  # versions of a table that may have come since the last whole commit: of a commit, and of its upkeep


def committed_tables(index: Index, generation: Generation) -> dict[str, lance.LanceDataset]:
    """Table name -> dataset, all of one commit. Needs no lease.

    Read them soon: nothing keeps their files, and what was cleaned away meanwhile raises `OSError` or
    `pyarrow.ArrowInvalid`.

    Raises:
        StoreError: the tables fit together in none of the last versions.
    """
    tables = list(generation.committed_tables)
    for _ in range(_TRIES):
        mark = read_mark(index.dataset(ITEMS, generation.name)) or ""
        found = dict(zip(tables, beside(partial(_at, index, generation, mark), tables), strict=True))
        whole = {table: dataset for table, dataset in found.items() if dataset is not None}
        if len(whole) == len(tables):
            return whole
        time.sleep(_PAUSE_S)  # another commit went through meanwhile
    raise StoreError(
        f"the tables of generation {generation.name} of {index.uri} do not fit together; if no ingestion is running, "
        "one was killed: `duet ingest` repairs it"
    )


def _at(index: Index, generation: Generation, mark: str, table: str) -> lance.LanceDataset | None:
    """The table where it has this mark; None if its last versions have not."""
    latest = index.dataset(table, generation.name)
    if read_mark(latest) == mark:
        return latest
    for version in sorted((version["version"] for version in latest.versions()), reverse=True)[1 : 1 + _BACK]:
        try:
            before = index.dataset(table, generation.name, version)
            if read_mark(before) == mark:
                return before
        except StoreError:
            break  # cleaned away
    return None
