"""iMaterialist 2018: where its pictures and names lie, and files that are something else."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import ManifestError

from .importer import labels, run
from .trees import imaterialist2018, write

LABEL_MAP = "iMat_fashion_2018_label_map_228.csv"


def test_pictures_lie_where_they_were_put(tree: Path) -> None:
    expected = imaterialist2018(tree)
    (tree / "validation").rename(tree / "images_validation")
    (tree / "train").rename(tree / "images_train")
    (tree / "images_train/1.jpg").rename(tree / "images_train/1.png")
    done = run("imaterialist2018", tree, pictures="images_{file}/{id}.jpg")
    assert set(labels(done)) == set(expected.rows) - {"train/1"}


def test_a_label_map_of_another_place(tree: Path) -> None:
    expected = imaterialist2018(tree)
    (tree / LABEL_MAP).rename(tree.parent / "map.csv")
    done = run("imaterialist2018", tree, label_map=tree.parent / "map.csv")
    assert labels(done) == {name: row[2] for name, row in expected.rows.items()}
    with pytest.raises(ManifestError, match=r"none.csv: no such file; the set is obtained from Kaggle"):
        run("imaterialist2018", tree, label_map=tree / "none.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("label,name\n1,2\n", "line 1 does not name the columns"),
        ("", "line 1 does not name the columns"),
        ("labelId,taskId,labelName,taskName\n1,2,Red\n", "line 2: not a label and its task"),
        ("labelId,taskId,labelName,taskName\n1,2,Red,color\n2,x,Red,color\n", "line 3: not a label and its task"),
    ],
)
def test_another_label_map_is_refused(tree: Path, text: str, told: str) -> None:
    imaterialist2018(tree)
    write(tree / LABEL_MAP, text)
    with pytest.raises(ManifestError, match=rf"{LABEL_MAP}.*{told}"):
        run("imaterialist2018", tree)


@pytest.fixture
def small_cells() -> Iterator[None]:
    """The limit of the csv module as a process begins with it; other readers raise it."""
    limit = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(limit)


@pytest.mark.usefixtures("small_cells")
@pytest.mark.parametrize(
    ("text", "line"), [("x" * 200_000, 1), (f"labelId,taskId,labelName,taskName\n1,2,{'x' * 200_000},color\n", 2)]
)
def test_a_label_map_of_one_huge_cell_is_refused(tree: Path, text: str, line: int) -> None:
    imaterialist2018(tree)
    write(tree / LABEL_MAP, text)
    with pytest.raises(ManifestError, match=rf"{LABEL_MAP}, line {line}: not valid CSV"):
        run("imaterialist2018", tree)


def test_json_that_is_nested_too_deep_is_refused(tree: Path) -> None:
    imaterialist2018(tree)
    write(tree / "train.json", "[" * 100_000)
    with pytest.raises(ManifestError, match=r"train.json: not readable JSON"):
        run("imaterialist2018", tree)


def test_an_id_that_is_no_text_costs_one_item_only(tree: Path) -> None:
    expected = imaterialist2018(tree)
    write(tree / "validation.json", '{"annotations": [{"imageId": "\\ud800", "labelId": ["5"]}]}')
    done = run("imaterialist2018", tree)
    assert set(labels(done)) == {name for name, row in expected.rows.items() if row[1] == "train"}
    assert done.journal.skipped.counts["location that cannot be an item_id"] == 1


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"images": []}), json.dumps({"annotations": {}})])
def test_another_json_is_refused(tree: Path, content: str) -> None:
    imaterialist2018(tree)
    write(tree / "train.json", content)
    with pytest.raises(ManifestError, match=r"train.json: not"):
        run("imaterialist2018", tree)
