"""What is committed of a generation at one moment, published or not."""

from __future__ import annotations

import time

import lance

from pipelines.errors import StoreError

from .generation import Generation
from .sentinel import read_mark
from .store import Index

_TRIES, _PAUSE_S = 20, 0.25


def committed_tables(index: Index, generation: Generation) -> dict[str, lance.LanceDataset]:
    """Table name -> dataset, all of one commit. Needs no lease; read them soon, since nothing keeps these versions.

    Raises:
        StoreError: a commit was killed between two tables, and nobody has repaired it.
    """
    for _ in range(_TRIES):
        datasets = {table: index.dataset(table, generation.name) for table in generation.committed_tables}
        if len({read_mark(dataset) for dataset in datasets.values()}) == 1:
            return datasets
        time.sleep(_PAUSE_S)  # a commit of all tables takes less than a second
    raise StoreError(
        f"the tables of generation {generation.name} of {index.uri} are in the middle of a commit, and stay there; "
        "if no ingestion is running, one was killed: `duet ingest` repairs it"
    )
