"""Tables and CSV of a comparison say what its figures are."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from pipelines.evaluate.compare.classes import ClassFigures
from pipelines.evaluate.compare.command import _differing
from pipelines.evaluate.compare.comparison import Figures, TaskComparison
from pipelines.evaluate.compare.pairs import PairFigures
from pipelines.evaluate.compare.published import DataSet, Published, published
from pipelines.evaluate.compare.runs import Run, System
from pipelines.evaluate.compare.tables import (
    csv_text,
    differences_table,
    means_table,
    pair_rows,
    pairs_table,
    threshold_rows,
    worst_table,
)
from pipelines.evaluate.compare.thresholds import ThresholdCurves
from pipelines.evaluate.query_table import TASKS

NAN = np.full(3, np.nan)


def figures(*, ceiling: bool) -> Figures:
    mean = np.array([[0.5, 0.2, 0.35], [0.4, 0.3, 0.35]])
    difference = mean - mean[0]
    return Figures(
        chance=np.full(3, 0.1), ceiling=np.full(3, 0.9) if ceiling else None,
        mean=mean, low=mean - 0.01, high=mean + 0.02, spread=np.stack([np.full(3, 0.003), NAN]),
        difference=difference, difference_low=difference - 0.1, difference_high=difference + 0.1,
        p=np.array([[1.0, 1.0, 1.0], [0.001, 0.04, 1.0]]),
    )  # fmt: skip


def task() -> TaskComparison:
    run = Run(Path("a"), "m3net", {}, None)
    systems = System("m3net", (run, run)), System("asen", (run,))
    measures = {"MAP@all": figures(ceiling=False), "Recall@10": figures(ceiling=True)}
    return TaskComparison("retrieval", systems, ("collar", "overall", "macro"), (7, 9, 9), 5, measures)


def test_chance_then_systems_then_the_papers() -> None:
    table = means_table(
        task(), 0.95, [Published("retrieval", "MAP@all", "overall", 1, {"random": 12.5, "M3-Net": 75.0})]
    )
    assert table.columns == ("%", "", "collar", "overall", "macro")
    assert table.rows == (
        ("MAP@all", "random", "10.00", "10.00", "10.00"),
        ("MAP@all", "m3net", "50.00 [49.00, 52.00]", "20.00 [19.00, 22.00]", "35.00 [34.00, 37.00]"),
        ("MAP@all", "± over 2 runs", "0.30", "0.30", "0.30"),
        ("MAP@all", "asen", "40.00 [39.00, 42.00]", "30.00 [29.00, 32.00]", "35.00 [34.00, 37.00]"),
        ("MAP@all", "random (theirs)", "", "12.50", ""),
        ("MAP@all", "M3-Net (theirs)", "", "75.00", ""),
        ("Recall@10", "random", "10.00", "10.00", "10.00"),
        ("Recall@10", "m3net", "50.00 [49.00, 52.00]", "20.00 [19.00, 22.00]", "35.00 [34.00, 37.00]"),
        ("Recall@10", "± over 2 runs", "0.30", "0.30", "0.30"),
        ("Recall@10", "asen", "40.00 [39.00, 42.00]", "30.00 [29.00, 32.00]", "35.00 [34.00, 37.00]"),
        ("Recall@10", "ceiling", "90.00", "90.00", "90.00"),
        ("queries", "", "7", "9", "9"),
    )
    best = {(1, 2), (3, 3), (1, 4), (3, 4)}  # both where they are equal
    assert table.bold == best | {(row + 6, column) for row, column in best}
    assert "95 %" in table.notes[0] and "5 items" in table.notes[0] and "theirs" in table.notes[1]
    assert len(means_table(task(), 0.95).notes) == 1


def test_the_papers_figures_stand_with_their_task_measure_and_column() -> None:
    macro = Published("retrieval", "Recall@10", "macro", 1, {"CSN": 33.0})
    rows = means_table(task(), 0.95, [macro]).rows
    assert rows[-2] == ("Recall@10", "CSN (theirs)", "", "", "33.00")
    for other in (replace(macro, task="manipulation"), replace(macro, measure="Top-20")):
        assert means_table(task(), 0.95, [other]) == means_table(task(), 0.95)


def test_differences_are_from_the_first_by_the_main_measure() -> None:
    table = differences_table(task(), 0.9)
    assert table is not None and table.title.endswith("difference from m3net")
    assert table.rows == (
        ("MAP@all", "asen", "-10.00 [-20.00, +0.00]", "+10.00 [+0.00, +20.00]", "+0.00 [-10.00, +10.00]"),
        ("p", "asen", "0.001", "0.040", "1.000"),
    )
    part = task()
    alone = TaskComparison(part.task, part.systems[:1], part.columns, part.queries, part.items, part.figures)
    assert differences_table(alone, 0.9) is None


def test_where_the_papers_have_other_attributes_is_said() -> None:
    macro = Published("retrieval", "Recall@10", "macro", 8, {"CSN": 33.0})
    assert _differing([task()], [replace(macro, attributes=1)]) == []
    assert _differing([task()], [macro]) == ["the papers' Recall@10 of retrieval is of 8 attributes, not of 1"]
    assert _differing([task()], [replace(macro, task="triplets")]) == [
        "the papers' Recall@10 of triplets: no run has it"
    ]


def test_csv_has_every_figure() -> None:
    rows = list(
        csv.DictReader(
            io.StringIO(csv_text([task()], [Published("retrieval", "MAP@all", "overall", 1, {"M3-Net": 75.0})]))
        )
    )
    kinds = [row["kind"] for row in rows]
    assert [kinds.count(kind) for kind in ("random", "system", "ceiling", "published")] == [6, 12, 3, 1]
    (row,) = [r for r in rows if (r["system"], r["measure"], r["column"]) == ("m3net", "Recall@10", "overall")]
    assert {name: float(row[name]) for name in ("value", "low", "high", "spread", "p", "difference", "queries")} == {
        "value": 0.2, "low": pytest.approx(0.19), "high": pytest.approx(0.22), "spread": 0.003, "p": 1, "difference": 0,
        "queries": 9,
    }  # fmt: skip
    assert row["runs"] == "2" and rows[-1]["value"] == "0.75"
    (row,) = [r for r in rows if (r["system"], r["measure"], r["column"]) == ("asen", "MAP@all", "collar")]
    assert row["spread"] == ""


def pairs(count: int) -> PairFigures:
    mean = np.array([np.linspace(0.1, 0.5, count), np.linspace(0.3, 0.1, count)])
    names = tuple((f"a{p}", f"b{p}") for p in range(count))
    queries = np.arange(count) + 1
    return PairFigures("print", ("m3net", "asen"), names, 2000.4 - queries, queries, np.full(count, 0.05), mean)


def test_the_most_frequent_pairs_and_all_of_them() -> None:
    table = pairs_table(pairs(2))
    assert table.columns == ("%", "", "a0 + b0", "a1 + b1", "all 2 pairs")
    assert table.rows == (
        ("MAP@all", "random", "5.00", "5.00", "5.00"),
        ("MAP@all", "m3net", "10.00", "50.00", "36.67"),
        ("MAP@all", "asen", "30.00", "10.00", "16.67"),
        ("queries", "", "1", "2", "3"),
        ("carry both", "", "1,999", "1,998", ""),
    )
    assert table.bold == {(2, 2), (1, 3), (1, 4)} and table.title.endswith("print")
    many = pairs_table(pairs(50))
    assert len(many.columns) == 2 + 6 + 1 and many.columns[-1] == "all 50 pairs"
    assert many.rows[3][-1] == f"{sum(range(51)):,}"


def test_csv_has_pairs_and_thresholds() -> None:
    curve = ThresholdCurves("asen", (0.25, 0.5), (0.5,), {"print": np.array([0.125, np.nan])})
    text = csv_text([task()], more=[*pair_rows([pairs(2)]), *threshold_rows([curve])])
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["task"] != "retrieval"]
    shown = [tuple(row[name] for name in ("task", "column", "queries", "system", "kind", "value")) for row in rows]
    assert shown == [
        ("co-occurring classes", "print: a0 + b0", "1", "random", "random", "0.05"),
        ("co-occurring classes", "print: a0 + b0", "1", "m3net", "system", "0.1"),
        ("co-occurring classes", "print: a0 + b0", "1", "asen", "system", "0.3"),
        ("co-occurring classes", "print: a1 + b1", "2", "random", "random", "0.05"),
        ("co-occurring classes", "print: a1 + b1", "2", "m3net", "system", "0.5"),
        ("co-occurring classes", "print: a1 + b1", "2", "asen", "system", "0.1"),
        ("threshold", "print, γ = 0.25", "", "asen", "system", "0.125"),
        ("threshold", "print, γ = 0.5", "", "asen", "system", ""),
    ]


def test_the_worst_classes_of_each_system() -> None:
    classes = tuple(("collar", f"c{k}") for k in range(7))
    mean = np.array([[0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [0.1] * 7])
    table = worst_table(ClassFigures(classes, np.arange(7) + 1000, np.full(7, 0.05), mean), ["a", "b"])
    assert [row[1] for row in table.rows] == [
        *(f"collar: c{k}" for k in (6, 5, 4, 3, 2)), *(f"collar: c{k}" for k in range(5))
    ]  # fmt: skip
    assert table.rows[0] == ("a", "collar: c6", "1,006", "5.00", "10.00", "10.00")
    assert table.rows[4] == ("a", "collar: c2", "1,002", "5.00", "50.00", "50.00")
    assert table.rows[5][4:] == ("10.00", "70.00")


def test_rare_classes_are_not_where_a_system_fails_and_chance_counts() -> None:
    classes = tuple(("collar", f"c{k}") for k in range(4))
    mean, chance = np.array([[0.0, 0.5, 0.4, 0.6], [0.0, 0.5, 0.9, 0.7]]), np.array([0.0, 0.1, 0.01, 0.55])
    figures = ClassFigures(classes, np.array([9, 10, 300, 40]), chance, mean)
    assert figures.worst(0, 3) == [3, 2, 1]  # .05 of .45, .39 of .99, .4 of .9
    assert figures.differing(1, 2) == [2, 3]
    few = ClassFigures(classes, np.array([1, 2, 2, 1]), chance, mean)
    assert few.worst(0, 4) == [2, 1]


@pytest.mark.parametrize("data_set", get_args(DataSet))
@pytest.mark.parametrize("per_class", [True, False])
def test_published_figures_have_a_place_in_the_tables(data_set: DataSet, per_class: bool) -> None:
    tables = published(data_set, per_class=per_class)
    assert tables and len({(table.task, table.measure) for table in tables}) == len(tables)
    for table in tables:
        assert table.task in TASKS and 0 < min(table.figures.values()) < max(table.figures.values()) < 100
        if table.task == "retrieval":  # which alone have the figure of chance
            assert min(table.figures.values()) == table.figures["random"]
    assert (tables == published(data_set, per_class=not per_class)) == (data_set != "deepfashion")
