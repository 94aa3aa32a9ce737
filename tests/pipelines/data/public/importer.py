"""Importing a tree in a test."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from pipelines.data.public.importing import Imported, import_set
from pipelines.data.public.registry import DATA_SETS


def run(name: str, tree: Path, **options: object) -> Imported:
    """Import a tree into the folder ``out`` beside it."""
    data_set = DATA_SETS[name]
    return import_set(data_set, data_set.settings(path=tree, out=tree.parent / "out", **options))


def labels(done: Imported) -> dict[str, dict[str, set[str]]]:
    """Item id -> attribute -> classes, of what was written; unknown attributes are not there."""
    rows = pq.read_table(done.out / "manifest.parquet").to_pylist()
    return {row["item_id"]: {k: set(v) for k, v in row.items() if isinstance(v, list) and v} for row in rows}
