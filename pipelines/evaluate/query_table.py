"""Every query with its scores, a row each: what intervals and comparisons of systems are made of.

Columns: ``task`` (of `TASKS`), ``attribute``, ``item_id``, ``class`` (what the query is about; of a manipulation, the
class added or else removed; null = the item's whole set), ``set`` (of multi-label retrieval: the classes asked for; of
several changes: each in words, and ``attribute`` says how many they are, as ``2 attributes``; of a triplet, whose
anchor is the item: the positive's id and the negative's),
``gallery`` (candidates), ``relevant`` (R), then every measure, and as ``random <measure>`` what chance scores there;
null in the rows of a task that has no such measure. The rows of a task and attribute stand by item id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.taxonomy import Taxonomy

from .changes import change_text
from .embedded import Embedded
from .manipulation import ManipulationResult, ManipulationScores
from .multilabel import MultiLabelScores
from .reranking import RerankingResult
from .retrieval import RetrievalResult
from .scores import Scores
from .table_file import read_table, save_table
from .triplets import TripletAccuracy

FILE = "queries.parquet"
RANDOM = "random "  # before a measure's name
_SEVERAL = ("several manipulations", "several multilabel manipulations")
TASKS = ("retrieval", "multilabel", "manipulation", "multilabel manipulation", *_SEVERAL, "reranking", "triplets")
_SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("attribute", pa.string()),
        ("item_id", pa.string()),
        ("class", pa.string()),
        ("set", pa.list_(pa.string())),
        ("gallery", pa.int64()),
        ("relevant", pa.int64()),
    ]
)


def query_table(
    embedded: Embedded,
    retrieval: RetrievalResult,
    multilabel: Mapping[tuple[str, int], MultiLabelScores],
    manipulation: ManipulationResult | None = None,
    reranking: RerankingResult | None = None,
    triplets: TripletAccuracy | None = None,
) -> pa.Table:
    """The queries of all tasks, in one table."""
    blocks = [_block(embedded, "retrieval", name, scores) for name, scores in retrieval.attributes.items()]
    for (name, _), part in multilabel.items():
        sets = _names(embedded.taxonomy, name, part.condition)
        blocks.append(_block(embedded, "multilabel", name, part.scores, sets))
    if manipulation is not None:
        blocks += [_block(embedded, "manipulation", name, part.scores) for name, part in manipulation.single.items()]
        blocks += [
            _block(embedded, "multilabel manipulation", name, part.scores) for name, part in manipulation.multi.items()
        ]
        several = dict(zip(_SEVERAL, (manipulation.several_single, manipulation.several_multi), strict=True))
        for task, parts in several.items():
            for size, changed in parts.items():
                words = _changes(embedded.taxonomy, changed)
                blocks.append(_block(embedded, task, f"{size} attributes", changed.scores, words))
    if reranking is not None:
        blocks += [_block(embedded, "reranking", name, scores) for name, scores in reranking.attributes.items()]
    if triplets is not None:
        for name, answers in triplets.attributes.items():
            others = [[embedded.item_ids[item] for item in pair] for pair in answers.others.tolist()]
            blocks.append(_block(embedded, "triplets", name, answers.scores, others))
    return pa.concat_tables([_SCHEMA.empty_table(), *blocks], promote_options="default")


def save_queries(table: pa.Table, folder: Path) -> None:
    """Write ``queries.parquet`` into an evaluation's folder, at once."""
    save_table(table, folder / FILE)


def read_queries(folder: Path) -> pa.Table:
    """The queries of an evaluation, from its folder. Raises `DuetError` where it has none."""
    return read_table(folder / FILE, "queries", _SCHEMA.names)


def of_task(table: pa.Table, task: str) -> pa.Table:
    """The rows of one task, with the measures that it has."""
    assert task in TASKS, task
    rows = table.filter(pc.equal(table["task"], task))
    keep = [name for name in rows.schema.names if name in _SCHEMA.names or rows[name].null_count < len(rows)]
    return rows.select(keep)


def measures(table: pa.Table) -> list[str]:
    """Names of the columns of scores."""
    return [name for name in table.schema.names if name not in _SCHEMA.names and not name.startswith(RANDOM)]


def about(embedded: Embedded, scores: Scores) -> tuple[list[str], list[str | None]]:
    """The item's id of each query, and the class that it is about."""
    ids = [embedded.item_ids[item] for item in scores.item.tolist()]
    return ids, [None if m < 0 else embedded.taxonomy.class_name(m)[1] for m in scores.class_index.tolist()]


def by_item(table: pa.Table) -> pa.Table:
    """The rows by item id; those of one item stay in their order."""
    return table.take(np.argsort(np.asarray(table["item_id"].to_pylist(), dtype=object), kind="stable"))


def _block(
    embedded: Embedded, task: str, attribute: str, scores: Scores, sets: Sequence[list[str]] | None = None
) -> pa.Table:
    ids, classes = about(embedded, scores)
    columns = [[task] * len(ids), [attribute] * len(ids), ids, classes, [None] * len(ids) if sets is None else sets]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=False)]
    table = pa.table([*arrays, pa.array(scores.gallery), pa.array(scores.relevant)], schema=_SCHEMA)
    for name, values in scores.values.items():
        table = table.append_column(name, pa.array(values))
    for name, values in scores.chance.items():
        table = table.append_column(RANDOM + name, pa.array(values))
    return by_item(table)


def _changes(taxonomy: Taxonomy, part: ManipulationScores) -> list[list[str]]:
    """What each query asks for: ``collar: crew → polo``, …"""
    return [
        [f"{taxonomy.names[change.attribute]}: {change_text(change, taxonomy)}" for change in queries.changes(q)]
        for queries in part.queries
        for q in range(len(queries))
    ]


def _names(taxonomy: Taxonomy, attribute: str, condition: NDArray[np.bool_]) -> list[list[str]]:
    classes = taxonomy.attributes[taxonomy.position(attribute)].classes
    return [[classes[m] for m in np.flatnonzero(row)] for row in condition]
