"""The table of queries holds what the results say, row by row, and comes back from its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from model.manipulation import Change
from pipelines.errors import DuetError
from pipelines.evaluate.manipulation import evaluate_manipulation
from pipelines.evaluate.multilabel import evaluate_multilabel
from pipelines.evaluate.query_table import FILE, TASKS, measures, of_task, query_table, read_queries, save_queries
from pipelines.evaluate.reranking import evaluate_reranking
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.scores import Scores
from pipelines.evaluate.settings import RetrievalSettings
from pipelines.evaluate.triplets import COLUMNS, draw_triplets, evaluate_triplets

from .random_sets import TAXONOMY, random_embedded
from .test_manipulation import random_case


def check(rows: list[dict[str, object]], ids: list[str], scores: Scores) -> None:
    """The rows are the queries of the scores, by item id, each with its own figures."""
    assert len(rows) == len(scores) and [row["item_id"] for row in rows] == sorted(ids[i] for i in scores.item)
    expected = {}
    for q, (item, m) in enumerate(zip(scores.item.tolist(), scores.class_index.tolist(), strict=True)):
        expected.setdefault((ids[item], None if m < 0 else TAXONOMY.class_name(m)[1]), []).append(q)
    for row in rows:
        q = expected[row["item_id"], row["class"]].pop(0)  # several sets of one item: in their order
        assert (row["gallery"], row["relevant"]) == (scores.gallery[q], scores.relevant[q])
        for name, values in scores.values.items():
            assert row[name] == values[q] and row[f"random {name}"] == scores.chance[name][q]


def spelled(change: Change) -> str:
    """As the column ``set`` has it."""
    names = [None if m is None else TAXONOMY.class_name(m)[1] for m in (change.from_class, change.to_class)]
    words = {(True, True): "{} → {}", (False, True): "+ {1}", (True, False): "− {0}"}
    text = words[names[0] is not None, names[1] is not None].format(*names)
    return f"{TAXONOMY.names[change.attribute]}: {text}"


def test_every_query_of_every_task_is_a_row() -> None:
    embedded, head = random_case(0, 40)
    retrieval = evaluate_retrieval(embedded, RetrievalSettings(ks=(3,)))
    multilabel = evaluate_multilabel(embedded, retrieval=RetrievalSettings(ks=(3,)))
    manipulation = evaluate_manipulation(embedded, head)
    reranking = evaluate_reranking(embedded)
    triplets = draw_triplets(embedded, 30)
    accuracy = evaluate_triplets(embedded, triplets)
    table = query_table(embedded, retrieval, multilabel, manipulation, reranking, accuracy)
    assert pc.unique(table["task"]).to_pylist() == list(TASKS)
    parts = {
        **{("retrieval", name): scores for name, scores in retrieval.attributes.items()},
        **{("manipulation", name): part.scores for name, part in manipulation.single.items()},
        **{("multilabel manipulation", name): part.scores for name, part in manipulation.multi.items()},
        **{("reranking", name): scores for name, scores in reranking.attributes.items()},
    }
    for (task, name), scores in parts.items():
        rows = of_task(table, task)
        assert set(measures(rows)) == set(scores.values)
        check([row for row in rows.to_pylist() if row["attribute"] == name], embedded.item_ids, scores)
        assert rows["set"].null_count == len(rows)
    several = {
        "several manipulations": manipulation.several_single[2],
        "several multilabel manipulations": manipulation.several_multi[2],
    }
    for task, part in several.items():
        rows = of_task(table, task)
        assert set(measures(rows)) == set(part.scores.values)
        check(rows.to_pylist(), embedded.item_ids, part.scores)
        asked = [
            (embedded.item_ids[item], [spelled(change) for change in queries.changes(q)])
            for queries in part.queries
            for q, item in enumerate(queries.item)
        ]
        assert [(row["item_id"], row["set"]) for row in rows.to_pylist()] == sorted(asked, key=lambda pair: pair[0])
        assert set(rows["attribute"].to_pylist()) == {"2 attributes"}
    parts |= {(task, "2 attributes"): part.scores for task, part in several.items()}
    of_sets = of_task(table, "multilabel").to_pylist()
    for (_, size), part in multilabel.items():
        rows = [row for row in of_sets if len(row["set"]) == size]
        check(rows, embedded.item_ids, part.scores)
        items = {item_id: place for place, item_id in enumerate(embedded.item_ids)}
        for row in rows:
            carried = {TAXONOMY.class_name(m)[1] for m in np.flatnonzero(embedded.carried[items[row["item_id"]]])}
            assert len(set(row["set"])) == size and set(row["set"]) <= carried
    told = of_task(table, "triplets").to_pylist()
    asked = [(row["attribute"], row["item_id"], *row["set"]) for row in told]
    assert sorted(asked) == sorted(zip(*(triplets[name].to_pylist() for name in COLUMNS), strict=True))
    for name, part in accuracy.attributes.items():
        check([row for row in told if row["attribute"] == name], embedded.item_ids, part.scores)
    every = [*parts.values(), *(part.scores for part in (*multilabel.values(), *accuracy.attributes.values()))]
    assert len(table) == sum(map(len, every))


def test_an_evaluation_without_queries_has_an_empty_table(tmp_path: Path) -> None:
    embedded = random_embedded(0, 5, unknown=1.0)
    save_queries(query_table(embedded, evaluate_retrieval(embedded), {}), tmp_path)
    assert len(read_queries(tmp_path)) == 0


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    embedded = random_embedded(0, 20)
    result = evaluate_retrieval(embedded, RetrievalSettings(relevance="any"))
    table = query_table(embedded, result, evaluate_multilabel(embedded))
    save_queries(table, tmp_path)
    assert read_queries(tmp_path).equals(table) and [path.name for path in tmp_path.iterdir()] == [FILE]
    assert "class" in table.schema.names and of_task(table, "retrieval")["class"].null_count > 0


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DuetError, match=r"queries.parquet: not there; `duet evaluate"):
        read_queries(tmp_path)
    (tmp_path / FILE).write_bytes(b"of another kind")
    with pytest.raises(DuetError, match="cannot be read"):
        read_queries(tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / FILE)
    with pytest.raises(DuetError, match="not a table of queries; its columns are a"):
        read_queries(tmp_path)
