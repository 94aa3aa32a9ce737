"""Upkeep: fragments and parts of indices of a generation's tables stay few, whatever is committed.

Fragments are merged as in a log-structured tree. New ones stand at the end, and once there are too many, the last ones
become one, with those before them that are no larger than all behind them together. So there are about log₂ N beside
the new ones, and a row is rewritten about log₂ N times in its life, however large the table grows.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import lance
from pydantic import Field

from cluster.settings import Section

from .committer import Committer
from .datasets import beside
from .vector_index import VectorIndexSettings, due, extend, outgrown, train

LARGEST = 2**20  # rows of a fragment
_FULL = LARGEST // 2  # of more, it is not merged any more, nor when some of its rows are gone
_COMPACTED, _EXTENDED = 2, 4  # tables, and vector indices, at once; much of either runs in one thread


class UpkeepSettings(Section):
    """When tables are compacted and indices built and extended."""

    fragments: int = Field(8, ge=2)
    """New fragments of a table that are merged into one."""
    deleted_share: float = Field(0.2, gt=0, le=1)
    """Share of a fragment's rows from which on it is rewritten without the deleted ones."""
    unindexed_share: float = Field(0.05, ge=0, le=1)
    """Share of a table's rows outside a scalar index from which on it is extended; a scan finds those until then."""
    vector: VectorIndexSettings = VectorIndexSettings()
    """When vector indices are built and extended."""


@dataclass
class UpkeepReport:
    """Names of the tables that something was done to.

    Attributes:
        compacted: fragments were merged.
        indexed: scalar indices were built or extended.
        built: a vector index was built.
        extended: a vector index was extended.
        inspected: one of the extended, in turn. It was trained anew if the table had outgrown it; nothing else costs
            as much as that and looking for it, so it is done for one table at a time, however many are due.
    """

    compacted: list[str] = field(default_factory=list)
    indexed: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    extended: list[str] = field(default_factory=list)
    inspected: list[str] = field(default_factory=list)


def maintain(committer: Committer, settings: UpkeepSettings) -> UpkeepReport:
    """Merge fragments and bring indices up to date, where thresholds say so. Rows stay as they are.

    Raises:
        StoreError: another process has taken over.
    """
    report = UpkeepReport()
    committer.lease.check()
    datasets = committer.datasets
    compacted = beside(lambda table: _compact(datasets[table], settings), list(datasets), _COMPACTED)
    report.compacted += itertools.compress(datasets, compacted)
    for table, dataset in datasets.items():
        if _index_scalars(dataset, settings):
            report.indexed.append(table)
        what = due(dataset, settings.vector)
        if what == "train":  # one after the other: each holds its sample in memory
            train(dataset, settings.vector)
            report.built.append(table)
        elif what == "extend":
            report.extended.append(table)
    beside(lambda table: extend(datasets[table], settings.vector), report.extended, _EXTENDED)
    if report.extended:
        table = random.Random(committer.sequence).choice(report.extended)
        if outgrown(datasets[table], settings.vector):
            train(datasets[table], settings.vector)
        report.inspected.append(table)
    committer.refresh()
    return report


def merged_from(sizes: Sequence[int], limit: int) -> int | None:
    """Position of the first fragment that is merged with all behind it; None while there are few.

    Args:
        sizes: rows of the fragments, in the table's order.
        limit: how many are merged at least. There are few while there are fewer than this and log₂ N more, those that
            are nearly full not counted, whose number grows with the table.
    """
    small = [number for number, size in enumerate(sizes) if size <= _FULL]
    if len(small) < limit + sum(sizes[number] for number in small).bit_length():
        return None
    first = small[-limit]
    behind = sum(sizes[first:])
    while first > 0 and sizes[first - 1] <= min(behind, _FULL):
        first -= 1
        behind += sizes[first]
    return first


def _compact(dataset: lance.LanceDataset, settings: UpkeepSettings) -> bool:
    fragments = dataset.get_fragments()
    sizes = [fragment.count_rows() for fragment in fragments]
    first = merged_from(sizes, settings.fragments)
    whole = len(fragments) if first is None else first
    sparse = {
        number
        for number, (fragment, size) in enumerate(zip(fragments, sizes, strict=True))
        if 1 - size / max(fragment.physical_rows, 1) >= settings.deleted_share
    }
    left_alone = [fragments[number].fragment_id for number in range(whole) if number not in sparse]
    if len(left_alone) == len(fragments):
        return False
    before = dataset.version
    dataset.optimize.compact_files(
        target_rows_per_fragment=min(LARGEST, sum(sizes) + 1),  # what is not left alone is merged with its neighbours
        materialize_deletions_threshold=settings.deleted_share,
        excluded_fragment_ids=left_alone,
        num_threads=1,
    )
    return dataset.version != before


def _index_scalars(dataset: lance.LanceDataset, settings: UpkeepSettings) -> bool:
    """Build and extend the scalar indices of a table: a tree over the ids, a bitmap over the classes."""
    wanted: dict[str, Literal["BTREE", "BITMAP"]] = {"item_id": "BTREE"}
    if "class" in dataset.schema.names:
        wanted["class"] = "BITMAP"
    have = {index.name: index for index in dataset.describe_indices()}
    before, rows = dataset.version, dataset.count_rows()
    for column, kind in wanted.items():
        name = f"{column}_{kind.lower()}"
        if name not in have:
            dataset.create_scalar_index(column, kind, name=name)
        elif rows - have[name].num_rows_indexed > settings.unindexed_share * rows:
            dataset.optimize.optimize_indices(index_names=[name])
    return dataset.version != before
