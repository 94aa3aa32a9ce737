"""The vector index of a table: when it is built, extended and trained anew, and how it is asked.

IVF with RaBitQ codes: it is extended and merged in a tenth of the time of an HNSW graph, and the nearest candidates are
compared again by their stored vectors.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from cluster.settings import Section

VECTOR_INDEX = "embedding_ivf_rq"
_SAMPLE = 32  # rows for each partition that k-means sees
_REFINE = 4  # candidates compared by their stored vectors, for each hit that is asked for
_CODE_BITS = 8  # Lance writes a bit for each number of an embedding, in whole bytes
_LEAST_PARTITIONS, _MOST_PARTITIONS = 32, 256  # that a search visits: as many as a filter needs, up to the second


class VectorIndexSettings(Section):
    """When vector indices are built and extended."""

    rows: int = Field(20_000, ge=256)
    """Rows of a table from which on it gets one; a smaller table is scanned."""
    unindexed_share: float = Field(0.1, ge=0, le=1)
    """Share of a table's rows outside it from which on it is extended, which costs little more for more of them; a scan
    finds those until then."""
    parts: int = Field(4, ge=1)
    """Parts, one from each extension, from which on they are made one: a search asks them one after the other."""
    growth: float = Field(16.0, gt=1)
    """It is trained anew when the table has grown by this factor since."""


def due(dataset: lance.LanceDataset, settings: VectorIndexSettings) -> Literal["", "train", "extend"]:
    """What it is time for: to `train` the index of a table's embeddings, where it has none, or to `extend` it."""
    rows = dataset.count_rows()
    if "embedding" not in dataset.schema.names or rows < settings.rows:
        return ""
    if dataset.schema.field("embedding").type.list_size % _CODE_BITS:
        return ""  # a table that is scanned, however large, rather than one that cannot be published
    index = {index.name: index for index in dataset.describe_indices()}.get(VECTOR_INDEX)
    if index is None:
        return "train"
    return "extend" if rows - index.num_rows_indexed > settings.unindexed_share * rows else ""


def extend(dataset: lance.LanceDataset, settings: VectorIndexSettings) -> None:
    """Have the index of a table's embeddings cover all rows: by one part more, or by one instead of all."""
    (index,) = (index for index in dataset.describe_indices() if index.name == VECTOR_INDEX)
    parts = len(index.segments)
    dataset.optimize.optimize_indices(
        index_names=[VECTOR_INDEX], num_indices_to_merge=parts if parts >= settings.parts else 0
    )


def outgrown(dataset: lance.LanceDataset, settings: VectorIndexSettings) -> bool:
    """Whether the table has too many rows for the partitions of its index. It takes seconds: Lance reads them all."""
    partitions = dataset.stats.index_stats(VECTOR_INDEX)["indices"][0]["num_partitions"]
    return dataset.count_rows() > partitions**2 * math.sqrt(settings.growth)


def train(dataset: lance.LanceDataset, settings: VectorIndexSettings) -> None:
    """Build the index of a table's embeddings, in the place of the one that it may have.

    A search visits so many partitions, so √rows of them make it cheapest. There are as many as suit the table in the
    middle of its growth.
    """
    partitions = max(1, round(math.sqrt(dataset.count_rows() * math.sqrt(settings.growth))))
    # k-means on an eighth of Lance's sample: two thirds of the time, and the recall stays.
    dataset.create_index(
        "embedding", "IVF_RQ", VECTOR_INDEX, "dot", replace=True, num_partitions=partitions, sample_rate=_SAMPLE
    )


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
