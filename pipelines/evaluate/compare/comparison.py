"""Comparison: every system's means with their intervals, and their paired differences from the first, by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import metrics
from ..bootstrap import Means, group_means, resample
from ..metrics import Counts, Floats
from ..query_table import RANDOM, TASKS, measures, of_task
from .runs import System
from .settings import CompareSettings


@dataclass(frozen=True)
class Figures:
    """One measure of S systems; C columns: groups (attributes), all queries, the plain mean over groups.

    Attributes:
        chance: C, what a random ranking scores.
        ceiling: C, the best that is possible, for Recall@K; else None.
        mean, low, high: S×C, over queries, of the mean over a system's runs; and its interval.
        spread: S×C, standard deviation (n − 1) over a system's runs of their means; NaN for a single run.
        difference, difference_low, difference_high, p: S×C, against the first system; 0 and p = 1 in its own row.
    """

    chance: Floats
    ceiling: Floats | None
    mean: Floats
    low: Floats
    high: Floats
    spread: Floats
    difference: Floats
    difference_low: Floats
    difference_high: Floats
    p: Floats


@dataclass(frozen=True)
class TaskComparison:
    """One task.

    Attributes:
        task: of `query_table.TASKS`.
        systems: that have it; the first is what the others are compared with.
        columns: headings: the groups, ``overall``, ``macro``.
        queries: of each column.
        items: that ask the queries: what is resampled.
        figures: by measure.
    """

    task: str
    systems: tuple[System, ...]
    columns: tuple[str, ...]
    queries: tuple[int, ...]
    items: int
    figures: Mapping[str, Figures]


def compare(systems: Sequence[System], settings: CompareSettings) -> list[TaskComparison]:
    """Every task that some system has, where `runs.check_comparable` found nothing.

    A query to which nothing is relevant counts as the evaluations have counted it.
    """
    result = []
    for task in TASKS:
        having = with_task(systems, task)
        if having:
            chosen, tables = zip(*having, strict=True)
            result.append(_compare_task(task, chosen, tables, settings))
    return result


def with_task(systems: Sequence[System], task: str) -> list[tuple[System, list[pa.Table]]]:
    """The systems that have a task in all their runs, each with its runs' queries that count."""
    every = [(one, [counted_queries(run.queries, task, zero_of(one)) for run in one.runs]) for one in systems]
    return [(system, tables) for system, tables in every if all(len(table) for table in tables)]


def counted_queries(queries: pa.Table, task: str, zero: metrics.Zero) -> pa.Table:
    """The queries of a task that count; manipulation asks only what the gallery has, so that all do."""
    table = of_task(queries, task)
    return table if zero == "keep" else table.filter(pc.greater(table["relevant"], 0))


def zero_of(system: System) -> metrics.Zero:
    """Whether queries to which nothing is relevant count; the same for all that are compared."""
    zero: metrics.Zero = system.runs[0].report["settings"]["retrieval"]["zero"]
    return zero


def _compare_task(
    task: str, systems: Sequence[System], tables: Sequence[Sequence[pa.Table]], settings: CompareSettings
) -> TaskComparison:
    first = tables[0][0]
    names = [name for name in measures(first) if all(name in part.schema.names for parts in tables for part in parts)]
    items, _ = _codes(first["item_id"].to_pylist())
    groups, headings = _codes(_headings(first))
    runs = {name: [np.stack([_column(part, name) for part in parts], 1) for parts in tables] for name in names}
    blocks = [
        np.concatenate(
            [
                np.stack([values.mean(1) for values in runs[name]], 1),
                _column(first, RANDOM + name)[:, None],
                _ceiling(first, name),
            ],
            axis=1,
        )
        for name in names
    ]
    means = resample(np.concatenate(blocks, 1), items, groups, resamples=settings.resamples, seed=settings.seed)
    low, high = means.interval(settings.level)
    figures, count, start = {}, len(systems), 0
    for name, block in zip(names, blocks, strict=True):
        own, end = slice(start, start + count), start + block.shape[1]
        difference = Means(means.point[:, own], means.resampled[..., own]).difference(0)
        bounds = difference.interval(settings.level)
        figures[name] = Figures(
            chance=means.point[:, start + count],
            ceiling=means.point[:, end - 1] if block.shape[1] > count + 1 else None,
            mean=means.point[:, own].T,
            low=low[:, own].T,
            high=high[:, own].T,
            spread=np.stack([_spread(values, groups) for values in runs[name]]),
            difference=difference.point.T,
            difference_low=bounds[0].T,
            difference_high=bounds[1].T,
            p=difference.p.T,
        )
        start = end
    queries = [*np.bincount(groups).tolist(), len(first), len(first)]
    columns = (*headings, "overall", "macro")
    return TaskComparison(task, tuple(systems), columns, tuple(queries), int(items.max()) + 1, figures)


def _spread(values: Floats, groups: Counts) -> Floats:
    """Q×runs scores -> C: standard deviation over runs of their means."""
    if values.shape[1] == 1:
        return np.full(int(groups.max()) + 3, np.nan)
    return np.asarray(group_means(values, groups).std(axis=1, ddof=1), np.float64)


def _headings(table: pa.Table) -> list[str]:
    """The column of each query: its attribute, and how many classes it asks for if it asks for a set of them."""
    columns = (table[name].to_pylist() for name in ("task", "attribute", "set"))
    return [
        f"{name}, {len(asked)} classes" if task == "multilabel" else name
        for task, name, asked in zip(*columns, strict=True)
    ]


def _codes(values: list[str]) -> tuple[Counts, list[str]]:
    """Values -> integers 0.. in the order of first appearance, and what they stand for."""
    encoded = pa.array(values, pa.string()).dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(), np.int64), encoded.dictionary.to_pylist()


def _column(table: pa.Table, name: str) -> Floats:
    return np.asarray(table[name].to_numpy(), np.float64)


def _ceiling(table: pa.Table, measure: str) -> Floats:
    """Q×1 for Recall@K, Q×0 for a measure that can reach 1."""
    if not measure.startswith("Recall@"):
        return np.empty((len(table), 0))
    relevant = np.asarray(table["relevant"].to_numpy(), np.int64)
    return metrics.recall_ceiling(relevant, int(measure.removeprefix("Recall@")))[:, None]
