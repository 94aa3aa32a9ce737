"""Runs: what may be compared, what is refused and in which words, and which runs are seeds of one system."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import DuetError
from pipelines.evaluate.compare.runs import check_comparable, join_seeds, load_run
from pipelines.evaluate.embedded import Embedded

from .made_runs import make_runs, system, write_run


def compared(tmp_path: Path, one: Embedded, other: Embedded, **settings: object) -> None:
    first, second = write_run(tmp_path / "one", one), write_run(tmp_path / "two", other, **settings)
    check_comparable([load_run(first), load_run(second)])


def shuffled(embedded: Embedded) -> Embedded:
    """The same items in another order."""
    order = np.random.default_rng(0).permutation(len(embedded))
    parts = ("attribute_embeddings", "probabilities", "predicted", "carried", "known")
    ids = [embedded.item_ids[item] for item in order]
    return dataclasses.replace(embedded, item_ids=ids, **{name: getattr(embedded, name)[order] for name in parts})


def test_the_same_items_in_another_order_are_comparable(tmp_path: Path) -> None:
    compared(tmp_path, system(0), shuffled(system(1)))


def test_a_task_that_only_one_run_has_is_no_fault(tmp_path: Path) -> None:
    compared(tmp_path, system(0), system(1), reranking={"ks": ()}, multilabel={"sizes": (9,)})


def without(embedded: Embedded, item: int, n: int) -> Embedded:
    """The item is not labelled for attribute n."""
    known, carried = embedded.known.copy(), embedded.carried.copy()
    known[item, n] = carried[item, embedded.taxonomy.span(n)] = False
    return dataclasses.replace(embedded, known=known, carried=carried)


def test_other_queries_are_told_apart(tmp_path: Path) -> None:
    known = int(np.flatnonzero(system(1).known[:, 0])[0])
    name = system(1).item_ids[known]
    message = (
        rf"two: not comparable with .*one: of retrieval, 1 queries are asked there only, such as \(collar, {name}, "
    )
    with pytest.raises(DuetError, match=message):
        compared(tmp_path, system(0), without(system(1), known, 0))


def test_other_items_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DuetError, match=r"asked here only, such as .*; .* asked there only, such as"):
        compared(tmp_path, system(0), system(1, labels=1))


def test_other_galleries_are_told_apart(tmp_path: Path) -> None:
    # Of the same queries, some of the gallery is missing: an item that is in nobody's query list.
    first, second = write_run(tmp_path / "one", system(0)), write_run(tmp_path / "two", system(1))
    one, two = load_run(first), load_run(second)
    place = two.queries.schema.get_field_index("gallery")
    fewer = two.queries.set_column(place, "gallery", [[n - 1 for n in two.queries["gallery"].to_pylist()]])
    size = one.queries["gallery"][0].as_py()
    with pytest.raises(DuetError, match=rf"has {size - 1} candidates, .* relevant here and {size} candidates"):
        check_comparable([one, dataclasses.replace(two, queries=fewer)])


def test_another_gallery_of_the_same_size_is_told_apart(tmp_path: Path) -> None:
    one, two = (load_run(write_run(tmp_path / name, system(n))) for n, name in enumerate(("one", "two")))
    check_comparable([one, two])
    name = system(0).taxonomy.names[0]
    galleries = {**two.report["data"]["galleries"], name: "of other items"}
    other = dataclasses.replace(two, report={**two.report, "data": {**two.report["data"], "galleries": galleries}})
    with pytest.raises(DuetError, match=f"two: the gallery of {name} is not that of .*one"):
        check_comparable([one, other])


@pytest.mark.parametrize(("name", "value"), [("denominator", "hits"), ("zero", "skip")])
def test_other_ways_of_counting_are_refused(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(DuetError, match=rf"two: --retrieval.{name} is '{value}', but '\w+' in .*one; evaluate both"):
        compared(tmp_path, system(0), system(1), retrieval={name: value})


def test_other_relevance_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DuetError, match=r"of retrieval, .* queries are asked here only, such as \(print, item \d+\)"):
        compared(tmp_path, system(0), system(1), retrieval={"relevance": "any"})


def test_nothing_to_compare(tmp_path: Path) -> None:
    nobody = dataclasses.replace(
        system(1), known=np.zeros_like(system(1).known), carried=np.zeros_like(system(1).carried)
    )
    with pytest.raises(DuetError, match="two: has no query of retrieval"):
        compared(tmp_path, system(0), nobody)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DuetError, match=r"No such file or directory; a RUN is a folder"):
        load_run(tmp_path)
    (tmp_path / "report.json").write_text("a report")
    with pytest.raises(DuetError, match="not the report of an evaluation"):
        load_run(tmp_path)
    folder = write_run(tmp_path / "one", system(0))
    report = json.loads((folder / "report.json").read_text())
    (folder / "report.json").write_text(json.dumps({**report, "format": 1}))
    with pytest.raises(DuetError, match="not a report of this version"):
        load_run(folder)


def test_queries_of_another_report_are_refused(tmp_path: Path) -> None:
    one, two = (write_run(tmp_path / name, system(n)) for n, name in enumerate(("one", "two")))
    (one / "queries.parquet").write_bytes((two / "queries.parquet").read_bytes())
    with pytest.raises(DuetError, match=r"one: queries\.parquet is not of this report\.json"):
        load_run(one)


def test_runs_without_a_common_measure_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DuetError, match=r"of reranking, .* no measure in common; .* the same --reranking\.ks"):
        compared(tmp_path, system(0), system(1), reranking={"ks": [5]})


def test_given_classes_are_another_system(tmp_path: Path) -> None:
    base = system(0)
    given = write_run(tmp_path / "a", base, retrieval={"classes": "given"})
    runs = [load_run(write_run(tmp_path / "b", base)), load_run(given)]
    check_comparable(runs)
    assert [one.name for one in join_seeds(runs, each=False)] == ["m3net", "m3net (classes given)"]


def test_seeds_are_joined_unless_each_is_asked_for(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, a="m3net", b="asen", c="m3net")
    joined = join_seeds(runs, each=False)
    assert [(one.name, list(one.runs)) for one in joined] == [("m3net", [runs[0], runs[2]]), ("asen", [runs[1]])]
    apart = join_seeds(runs, each=True)
    assert [(one.name, *one.runs) for one in apart] == [
        ("m3net, a", runs[0]), ("asen", runs[1]), ("m3net, c", runs[2])
    ]  # fmt: skip
    same_name = make_runs(tmp_path / "x", a="m3net")
    assert [one.name for one in join_seeds([runs[0], *same_name], each=True)] == [
        f"m3net, {tmp_path / 'a'}", f"m3net, {tmp_path / 'x' / 'a'}"
    ]  # fmt: skip


def test_other_encoders_are_no_seeds_of_one(tmp_path: Path) -> None:
    backbones = ("resnet18", "resnet34", "resnet18")
    folders = [write_run(tmp_path / str(n), system(n), backbone=name) for n, name in enumerate(backbones)]
    joined = join_seeds([load_run(folder) for folder in folders], each=False)
    assert {one.name: [run.folder.name for run in one.runs] for one in joined} == {
        "m3net, backbone resnet18": ["0", "2"], "m3net, backbone resnet34": ["1"]
    }  # fmt: skip


def test_one_checkpoint_twice_is_no_second_seed(tmp_path: Path) -> None:
    (run,) = make_runs(tmp_path, a="m3net")
    with pytest.raises(DuetError, match="are of one checkpoint of m3net: give one, or --each"):
        join_seeds([run, run], each=False)
    assert len(join_seeds([run, run], each=True)) == 2
