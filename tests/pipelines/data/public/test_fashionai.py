"""FashionAI: what maybe means, splits, other places of the folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.data.public.fashionai import CLASSES
from pipelines.data.public.reading import split_by_hash
from pipelines.errors import ManifestError

from .importer import labels, run
from .trees import draw, fashionai, write

COLLAR = "train1/Images/collar_design_labels"


def test_maybe_may_be_carried(tree: Path) -> None:
    fashionai(tree)
    found = labels(run("fashionai", tree, maybe="carry"))
    assert found[f"{COLLAR}/a.jpg"] == {"collar_design": {"Shirt Collar", "Peter Pan"}}
    assert found["train2/Images/neck_design_labels/e.jpg"] == {
        "neck_design": {"Invisible", "Turtle Neck", "Low Turtle Neck"}
    }
    assert f"{COLLAR}/b.jpg" not in found


def test_the_folder_of_one_download_will_do(tree: Path) -> None:
    fashionai(tree)
    done = run("fashionai", tree / "train2")
    assert set(labels(done)) == {"Images/neck_design_labels/e.jpg"}
    assert (done.root / "Images/neck_design_labels/e.jpg").is_file()


@pytest.mark.parametrize("attribute", CLASSES)
def test_each_class_has_its_mark(tree: Path, attribute: str) -> None:
    names = CLASSES[attribute]
    rows = []
    for place in range(len(names)):
        marks = "".join("y" if other == place else "n" for other in range(len(names)))
        rows.append(f"Images/{attribute}_labels/{place}.jpg,{attribute}_labels,{marks}\n")
        draw(tree / "base", f"Images/{attribute}_labels/{place}.jpg")
    write(tree / "base/Annotations/label.csv", "".join(rows))
    expected = {f"base/Images/{attribute}_labels/{n}.jpg": {attribute: {name}} for n, name in enumerate(names)}
    assert labels(run("fashionai", tree)) == expected


def test_splits_are_eight_to_one_to_one_and_do_not_part_a_picture(tree: Path) -> None:
    splits = [split_by_hash(f"{n}.jpg") for n in range(10_000)]
    shares = {split: splits.count(split) / len(splits) for split in set(splits)}
    assert shares == pytest.approx({"train": 0.8, "val": 0.1, "test": 0.1}, abs=0.02)
    rows = [f"Images/{a}_labels/{n}.jpg,{a}_labels,ynnnn\n" for a in ("neck_design", "lapel_design") for n in range(40)]
    write(tree / "base/Annotations/label.csv", "".join(rows))
    counts = run("fashionai", tree, check_images=False).counts
    assert counts.labelled["neck_design"] == counts.labelled["lapel_design"]
    assert counts.splits == {split: 2 * splits[:40].count(split) for split in set(splits[:40])}


def test_a_folder_that_cannot_be_read_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    fashionai(tree)
    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(ManifestError, match=f"{tree}: cannot be read .Permission"):
        run("fashionai", tree)


def test_another_csv_is_refused(tree: Path) -> None:
    write(tree / "base/Annotations/label.csv", "image_id,class\n1.jpg,2\n")
    with pytest.raises(ManifestError, match=r"label.csv, line 1: 'image_id,class': neither this nor any other line"):
        run("fashionai", tree)
