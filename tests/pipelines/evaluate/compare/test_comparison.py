"""Comparison: its figures against the runs' own reports and against the bootstrap of one system at a time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch

from pipelines.evaluate.bootstrap import resample
from pipelines.evaluate.compare.classes import per_class
from pipelines.evaluate.compare.comparison import TaskComparison, compare
from pipelines.evaluate.compare.runs import Run, check_comparable, join_seeds, load_run
from pipelines.evaluate.compare.settings import CompareSettings
from pipelines.evaluate.compare.tables import TITLES
from pipelines.evaluate.query_table import of_task

from ..test_manipulation import random_case
from .made_runs import make_runs, system, write_run

SETTINGS = CompareSettings(runs=[Path("a")], out=Path("b"), resamples=200, level=0.9, seed=4)


def by_task(runs: list[Run], *, each: bool = False) -> dict[str, TaskComparison]:
    return {part.task: part for part in compare(join_seeds(runs, each=each), SETTINGS)}


def test_means_are_those_of_the_reports(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, a="m3net", b="asen")
    parts = by_task(runs)
    assert list(parts) == ["retrieval", "multilabel", "reranking", "triplets"]
    part = parts["retrieval"]
    assert part.columns == ("collar", "print", "length", "overall", "macro")
    for s, run in enumerate(runs):
        reported = run.report["retrieval"]
        columns = [*reported["attributes"].values(), reported["overall"], reported["macro"]]
        assert part.queries == tuple(column["queries"] for column in columns)
        for measure, figures in part.figures.items():
            assert figures.mean[s] == pytest.approx([column["values"][measure] for column in columns])
            assert figures.chance == pytest.approx([column["random"][measure] for column in columns])
            if figures.ceiling is not None:
                assert figures.ceiling == pytest.approx([column["ceiling"][measure] for column in columns])
            assert (figures.ceiling is not None) == measure.startswith("Recall@")
            assert np.isnan(figures.spread).all()
        sets = parts["multilabel"]
        assert sets.columns[:-2] == tuple(f"print, {one['classes']} classes" for one in run.report["multilabel"])
        told = run.report["triplets"]
        accuracies = [one["accuracy"] for one in (*told["attributes"].values(), told["overall"])]
        assert parts["triplets"].figures["accuracy"].mean[s, :-1] == pytest.approx(accuracies)
        assert (parts["triplets"].figures["accuracy"].chance == 0.5).all()
        values = [one["values"]["MAP@all"] for one in run.report["multilabel"]]
        assert sets.figures["MAP@all"].mean[s, :-2] == pytest.approx(values)


def test_manipulation_of_several_attributes_has_a_column_for_each_number(tmp_path: Path) -> None:
    embedded, head = random_case(0, 40)
    other = random_case(1, 40)[1]
    runs = []
    for name, own in (("m3net", head), ("asen", other)):
        vectors = own(torch.from_numpy(embedded.attribute_embeddings)).numpy()
        seen = dataclasses.replace(embedded, global_embeddings=vectors)
        runs.append(load_run(write_run(tmp_path / name, seen, name, own, manipulation={"sizes": (2, 3)})))
    check_comparable(runs)
    parts = by_task(runs)
    assert "manipulation" not in parts
    for task, key, sizes in (
        ("several manipulations", "several_replaced", [2]),
        ("several multilabel manipulations", "several_added_or_removed", [2, 3]),
    ):
        assert parts[task].columns == (*(f"{size} attributes" for size in sizes), "overall", "macro")
        assert task in TITLES
        for s, run in enumerate(runs):
            entries = run.report["manipulation"][key]
            assert [entry["attributes"] for entry in entries] == sizes
            for measure, figures in parts[task].figures.items():
                assert figures.mean[s, :-2] == pytest.approx([entry["values"][measure] for entry in entries])
                assert figures.chance[:-2] == pytest.approx([entry["random"][measure] for entry in entries])


def test_intervals_and_differences_are_those_of_each_system_alone(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, a="m3net", b="asen", c="csn")
    part = by_task(runs)["retrieval"]
    tables = [of_task(run.queries, "retrieval") for run in runs]
    items = np.unique(tables[0]["item_id"].to_numpy(), return_inverse=True)[1]
    # The counts are drawn for items in the order of their first appearance.
    first = {item: place for place, item in enumerate(dict.fromkeys(items.tolist()))}
    items = np.array([first[item] for item in items.tolist()])
    groups = np.array([part.columns.index(name) for name in tables[0]["attribute"].to_pylist()])
    assert part.items == len(first)
    for measure in ("MAP@all", "Recall@10"):
        figures, values = part.figures[measure], [table[measure].to_numpy() for table in tables]
        for s in range(3):
            alone = resample(values[s][:, None], items, groups, resamples=200, seed=4)
            low, high = alone.interval(0.9)
            assert figures.low[s] == pytest.approx(low[:, 0]) and figures.high[s] == pytest.approx(high[:, 0])
            gain = resample((values[s] - values[0])[:, None], items, groups, resamples=200, seed=4)
            low, high = gain.interval(0.9)
            assert figures.difference[s] == pytest.approx(gain.point[:, 0])
            assert figures.difference_low[s] == pytest.approx(low[:, 0])
            assert figures.difference_high[s] == pytest.approx(high[:, 0])
        assert (figures.p[0] == 1).all() and (figures.p[2, 3] < 0.05)  # far worse by construction


def test_seeds_are_averaged_and_their_spread_is_told(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, a="m3net", b="asen", c="m3net")
    joined, apart = by_task(runs)["retrieval"], by_task(runs, each=True)["retrieval"]
    for measure, figures in joined.figures.items():
        single = apart.figures[measure].mean
        assert figures.mean == pytest.approx(np.stack([(single[0] + single[2]) / 2, single[1]]))
        assert figures.spread[0] == pytest.approx(np.abs(single[0] - single[2]) / np.sqrt(2))
        assert np.isnan(figures.spread[1]).all()
    assert [len(one.runs) for one in joined.systems] == [2, 1]


def test_queries_with_nothing_relevant_are_left_out_where_the_runs_left_them_out(tmp_path: Path) -> None:
    few = system(0, items=6)
    runs = [load_run(write_run(tmp_path / zero, few, retrieval={"zero": zero})) for zero in ("keep", "skip")]
    keep, skip = (by_task([run])["retrieval"] for run in runs)
    without = sum(part["without_relevant"] for part in runs[1].report["retrieval"]["attributes"].values())
    assert keep.queries[-2] - skip.queries[-2] == without > 0
    overall = skip.columns.index("overall")
    reported = runs[1].report["retrieval"]["overall"]["values"]["MAP@all"]
    assert skip.figures["MAP@all"].mean[0, overall] == pytest.approx(reported)


def test_a_system_without_a_task_is_not_in_its_table(tmp_path: Path) -> None:
    runs = [
        load_run(write_run(tmp_path / "a", system(0), "plain", reranking={"ks": ()})),
        *make_runs(tmp_path / "more", b="asen", c="csn"),
    ]
    parts = by_task(runs)
    assert [one.name for one in parts["retrieval"].systems] == ["plain", "asen", "csn"]
    assert [one.name for one in parts["reranking"].systems] == ["asen", "csn"]
    assert (parts["reranking"].figures["MAP@20 after"].difference[0] == 0).all()  # its own first is the reference


def test_classes_are_the_means_of_their_queries(tmp_path: Path) -> None:
    systems = join_seeds(make_runs(tmp_path, a="m3net", b="asen", c="m3net"), each=False)
    found = per_class(systems)
    assert found is not None and len(found.classes) == 9
    for k, (attribute, name) in enumerate(found.classes):
        for s, one in enumerate(systems):
            values = []
            for run in one.runs:
                table = of_task(run.queries, "retrieval")
                rows = table.filter(pc.and_(pc.equal(table["attribute"], attribute), pc.equal(table["class"], name)))
                values.append(rows["MAP@all"].to_numpy().mean())
            assert found.mean[s, k] == pytest.approx(np.mean(values)) and found.queries[k] == len(rows)
            assert found.chance[k] == pytest.approx(rows["random MAP@all"].to_numpy().mean())
    for s in range(2):
        often = [k for k in range(9) if found.queries[k] >= 10]
        gain = [(found.mean[s, k] - found.chance[k]) / (1 - found.chance[k]) for k in often]
        assert found.worst(s, 3) == [k for _, k in sorted(zip(gain, often, strict=True))[:3]] and len(often) > 3


def test_queries_about_no_class_have_no_classes(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "a", system(0), retrieval={"relevance": "any"}))
    found = per_class(join_seeds([run], each=False))
    assert found is not None and {attribute for attribute, _ in found.classes} == {"collar", "length"}
    table = run.queries.filter(pc.equal(run.queries["attribute"], "print"))
    only = Run(run.folder, run.system, run.report, table)
    assert per_class(join_seeds([only], each=False)) is None
