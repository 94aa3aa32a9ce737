"""The vector index of a table: when it is built, extended and trained anew, and how it is asked.

IVF with RaBitQ codes: it is extended and merged in a tenth of the time of an HNSW graph, and the nearest candidates are
compared again by their stored vectors.
"""

from __future__ import annotations

import math
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from cluster.settings import Section

VECTOR_INDEX = "embedding_ivf_rq"
_REFINE = 4  # candidates compared by their stored vectors, for each hit that is asked for
_LEAST_PARTITIONS, _MOST_PARTITIONS = 32, 256  # that a search visits: as many as a filter needs, up to the second


class VectorIndexSettings(Section):
    """When vector indices are built and extended."""

    rows: int = Field(20_000, ge=256)
    """Rows of a table from which on it gets one; a smaller table is scanned."""
    unindexed_share: float = Field(0.05, ge=0, le=1)
    """Share of a table's rows outside it from which on it is extended; a scan finds those until then."""
    parts: int = Field(8, ge=1)
    """Parts, one from each extension, from which on they are made one."""
    growth: float = Field(4.0, gt=1)
    """It is trained anew when the table has grown by this factor since."""


def bring_up(dataset: lance.LanceDataset, settings: VectorIndexSettings) -> bool:
    """Build or extend the index of a table's embeddings, if it is time; whether that was done."""
    rows = dataset.count_rows()
    if "embedding" not in dataset.schema.names or rows < settings.rows:
        return False
    if VECTOR_INDEX in {index.name for index in dataset.describe_indices()}:
        stats: dict[str, Any] = dataset.stats.index_stats(VECTOR_INDEX)
        trained_for = stats["indices"][0]["num_partitions"] ** 2
        if rows < settings.growth * trained_for:
            if stats["num_unindexed_rows"] <= settings.unindexed_share * rows:
                return False
            merged = stats["num_indices"] if stats["num_indices"] >= settings.parts else 0
            dataset.optimize.optimize_indices(index_names=[VECTOR_INDEX], num_indices_to_merge=merged)
            return True
    partitions = max(1, round(math.sqrt(rows)))
    dataset.create_index("embedding", "IVF_RQ", VECTOR_INDEX, "dot", replace=True, num_partitions=partitions)
    return True


def nearest(
    dataset: lance.LanceDataset,
    query: NDArray[np.float32],
    count: int,
    *,
    where: pc.Expression | None = None,
    exact: bool = False,
) -> pa.Table:
    """The rows with the greatest dot products, best first, with ``_distance`` = 1 − product.

    Args:
        dataset: of embeddings; the sentinel has none, and is never found.
        query: D, finite and not zero (Lance answers others with nothing).
        count: rows wanted.
        where: of these rows only.
        exact: scan all rows.
    """
    wanted: dict[str, Any] = {"column": "embedding", "q": query, "k": count, "metric": "dot", "use_index": not exact}
    if not exact:
        # A fixed number of probes together with a filter silently returns too few rows.
        wanted |= {
            "minimum_nprobes": _LEAST_PARTITIONS,
            "maximum_nprobes": _MOST_PARTITIONS,
            "refine_factor": _REFINE,
        }
    return dataset.to_table(columns=["item_id", "_distance"], nearest=wanted, filter=where, prefilter=where is not None)
