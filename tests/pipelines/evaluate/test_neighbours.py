"""The nearest items that are kept against the literal ranking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import DuetError
from pipelines.evaluate.neighbours import FILE, neighbour_table, read_neighbours, save_neighbours
from pipelines.evaluate.query_table import of_task, query_table
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.roles import ROLES
from pipelines.evaluate.scores import NEAREST
from pipelines.evaluate.settings import RetrievalSettings

from .random_sets import TAXONOMY, random_embedded, slow_ranking


@pytest.mark.parametrize("items", [8, 30])
@pytest.mark.parametrize("role", ["leave-one-out", "split"])
@pytest.mark.parametrize("relevance", ["class", "exact"])
def test_they_are_the_first_of_the_ranking(items: int, role: str, relevance: str) -> None:
    embedded = random_embedded(2, items)
    chosen = RetrievalSettings(roles=role, relevance=relevance)
    roles, result = ROLES[role](embedded), evaluate_retrieval(embedded, chosen)
    table = neighbour_table(embedded, result)
    same = ["attribute", "item_id", "class"]
    assert len(table) > 0
    assert table.select(same).equals(of_task(query_table(embedded, result, {}), "retrieval").select(same))
    places = {item_id: item for item, item_id in enumerate(embedded.item_ids)}
    for row in table.to_pylist():
        n, item = TAXONOMY.position(row["attribute"]), places[row["item_id"]]
        span = TAXONOMY.span(n)
        guess = {int(m) + span.start for m in np.flatnonzero(embedded.predicted[item, span])}
        candidates = np.flatnonzero(roles.gallery[:, n] & embedded.known[:, n])
        ranked = slow_ranking(embedded, n, item, guess, [other for other in candidates.tolist() if other != item])
        assert row["nearest"] == [embedded.item_ids[other] for other in ranked[:NEAREST]]
        if row["class"] is None:
            mine = embedded.carried[item, span]
            hit = [bool((embedded.carried[other, span] == mine).all()) for other in ranked]
        else:
            hit = [bool(embedded.carried[other, TAXONOMY.class_index(row["attribute"], row["class"])]) for other in ranked]  # fmt: skip  # noqa: E501
        assert row["hit"] == hit[:NEAREST]


def test_they_come_back_from_their_file(tmp_path: Path) -> None:
    embedded = random_embedded(0, 20)
    table = neighbour_table(embedded, evaluate_retrieval(embedded))
    save_neighbours(table, tmp_path)
    assert read_neighbours(tmp_path).equals(table) and [path.name for path in tmp_path.iterdir()] == [FILE]


def test_an_evaluation_without_queries_has_none(tmp_path: Path) -> None:
    embedded = random_embedded(0, 5, unknown=1.0)
    save_neighbours(neighbour_table(embedded, evaluate_retrieval(embedded)), tmp_path)
    assert len(read_neighbours(tmp_path)) == 0


def test_a_folder_without_them_says_so(tmp_path: Path) -> None:
    with pytest.raises(DuetError, match=r"neighbours.parquet: not there; `duet evaluate"):
        read_neighbours(tmp_path)
