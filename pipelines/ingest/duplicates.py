"""Rows of a manifest that a later row with the same id overrules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.data.manifest import Manifest

_ROWS = 65_536


def superseded_rows(manifest: Manifest) -> NDArray[np.int64]:
    """Numbers of the rows (0 = the manifest's first) whose id comes again further on, ascending.

    Memory: 8 bytes per row. Ids are compared by a 64-bit hash first, and exactly where that agrees.
    """
    hashes = [
        np.fromiter(map(hash, batch.column("item_id").to_pylist()), np.int64, batch.num_rows)
        for batch in manifest.batches(_ROWS, ["item_id"])
    ]
    values, counts = np.unique(np.concatenate(hashes) if hashes else np.empty(0, np.int64), return_counts=True)
    repeated = values[counts > 1]
    if not len(repeated):
        return np.empty(0, np.int64)
    last: dict[str, int] = {}
    superseded: list[int] = []
    start = 0
    for part, batch in zip(hashes, manifest.batches(_ROWS, ["item_id"]), strict=True):
        ids = batch.column("item_id")
        for offset in np.flatnonzero(np.isin(part, repeated)).tolist():
            item_id = ids[offset].as_py()
            if item_id in last:
                superseded.append(last[item_id])
            last[item_id] = start + offset
        start += batch.num_rows
    return np.asarray(sorted(superseded), np.int64)
