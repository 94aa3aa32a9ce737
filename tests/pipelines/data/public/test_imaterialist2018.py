"""iMaterialist 2018: where its pictures and names lie, and files that are something else."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"images": []}), json.dumps({"annotations": {}})])
def test_another_json_is_refused(tree: Path, content: str) -> None:
    imaterialist2018(tree)
    write(tree / "train.json", content)
    with pytest.raises(ManifestError, match=r"train.json: not"):
        run("imaterialist2018", tree)
