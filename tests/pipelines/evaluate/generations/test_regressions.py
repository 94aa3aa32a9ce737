"""What gets worse."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.evaluate.compare.classes import ClassFigures
from pipelines.evaluate.compare.sheets import DRAWN, Shown
from pipelines.evaluate.generations.regressions import WORSE, worse_classes, worse_queries


def test_classes_that_lose_most_stand_first_and_rare_ones_do_not_count() -> None:
    classes = tuple(("collar", f"c{k}") for k in range(14))
    mean = np.full((3, 14), 0.5)
    mean[1] -= np.arange(14) / 100  # c13 loses most
    mean[2] += 0.1
    figures = ClassFigures(classes, np.array([20] * 13 + [3]), np.full(14, 0.1), mean)
    table = worse_classes(figures, ["old", "new", "better"])
    assert [row[1] for row in table.rows] == [f"collar: c{k}" for k in range(12, 2, -1)]
    assert table.rows[0] == ("new", "collar: c12", "20", "10.00", "50.00", "38.00", "-12.00")


def test_queries_that_lose_in_any_generation_are_shown() -> None:
    queries = pa.table({"attribute": ["collar"] * 20, "relevant": [1] * 20})
    shown = []
    for falls in ([], [3], [7, 8]):
        scores = np.full(20, 0.5)
        scores[falls] = [0.4, 0.1][: len(falls)]
        shown.append(Shown("x", queries.append_column("MAP@all", pa.array(scores)), queries))
    seeds = [worse_queries(shown, 2, seed)["collar"] for seed in range(20)]
    for chosen in seeds:
        drawn, worse = ([row for row, why in chosen if why == kind] for kind in (DRAWN, WORSE))
        assert len(drawn) == 2
        left = [row for row in (8, 3, 7) if row not in drawn]
        assert worse == left[:2] or (set(worse) == {3, 7} and left == [3, 7])
    assert len({tuple(chosen) for chosen in seeds}) > 5
