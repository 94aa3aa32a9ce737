"""ASEN's layout: names of classes, forms of meta.json, what contradicts itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import ManifestError

from .importer import labels, run
from .trees import asen_darn, asen_deepfashion, draw, write


def small(folder: Path, pairs: str) -> None:
    """A set of one item a split, with the pairs of attribute and class of the only item of train."""
    for split in ("train", "valid", "test"):
        write(folder / f"filenames_{split}.txt", f"{split}.jpg\n")
        draw(folder, f"{split}.jpg")
    write(folder / "label_train.txt", f"0 {pairs}\n")
    for name in ("query_valid", "candidate_valid", "query_test", "candidate_test"):
        write(folder / f"{name}.txt", "0 0 0\n")


def test_classes_of_fashionai_have_their_names(tree: Path) -> None:
    meta = {
        "ATTRIBUTES": ["neck_design", "collar_design", "new"],
        "ATTRIBUTES_NUM": {"collar_design": 5, "neck_design": 5, "new": 2},
    }
    write(tree / "meta.json", json.dumps({"FashionAI": meta}))
    small(tree / "FashionAI", "0 1 1 2 2 1")
    found = labels(run("asen", tree))
    assert found["train/0"] == {"neck_design": {"Turtle Neck"}, "collar_design": {"Peter Pan"}, "new": {"1"}}
    assert found["test/0"] == {"neck_design": {"Invisible"}}


def test_the_first_release_s_meta_and_the_set_s_own_folder(tree: Path) -> None:
    values = {"a": ["x", "y"], "b": ["only one of two"]}
    meta = {"ATTRIBUTES": ["a", "b"], "ATTRIBUTES_NUM": {"a": 2, "b": 2}, "ATTRIBUTES_VALUES": values}
    write(tree / "meta.json", json.dumps(meta))
    small(tree, "0 1 1 0")
    assert labels(run("asen", tree))["train/0"] == {"a": {"y"}, "b": {"0"}}


def test_meta_beside_the_set_s_folder(tree: Path) -> None:
    expected = asen_darn(tree)
    done = run("asen", tree / "DARN", set_name="DARN")
    assert set(labels(done)) == set(expected.rows) and done.root == tree / "DARN"


def test_a_set_that_meta_lacks_is_told_with_those_that_it_has(tree: Path) -> None:
    asen_darn(tree)
    (tree / "DARN").rename(tree / "Darn")
    with pytest.raises(ManifestError, match=r"has no set 'Darn'; --set-name names one of: DARN, FashionAI"):
        run("asen", tree, set_name="Darn")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        "[]",
        '{"DARN": 3}',
        '{"DARN": {"ATTRIBUTES": ["a"]}}',
        '{"ATTRIBUTES": ["a"], "ATTRIBUTES_NUM": {"a": "x"}}',
    ],
)
def test_another_meta_is_refused(tree: Path, text: str) -> None:
    asen_darn(tree)
    write(tree / "meta.json", text)
    with pytest.raises(ManifestError, match=r"meta\.json"):
        run("asen", tree, set_name="DARN")


def test_numbers_of_classes_must_be_those_of_the_list(tree: Path) -> None:
    asen_deepfashion(tree)
    path = tree / "DeepFashion/Anno/list_attr_cloth.txt"
    write(path, path.read_text().replace("cotton 2", "cotton 3"))
    with pytest.raises(ManifestError, match=r"has \[2, 0, 2, 1, 1\] classes by type, but .* states \[2, 1, 1, 1, 1\]"):
        run("asen", tree, set_name="DeepFashion")


def test_types_from_zero_are_not_taken_for_types_from_one(tree: Path) -> None:
    asen_deepfashion(tree)
    write(tree / "DeepFashion/label_test.txt", "0\t3\t3\t\r\n1\t0\t1\t\r\n")
    with pytest.raises(ManifestError, match=r"label_test.txt, line 1"):
        run("asen", tree, set_name="DeepFashion")


def test_a_label_file_from_another_split_is_refused(tree: Path) -> None:
    asen_darn(tree)
    write(tree / "DARN/label_train.txt", "1000 0 1\n2000 0 1\n")
    with pytest.raises(ManifestError, match=r"label_train.txt, line 1: '1000 0 1': neither this nor any other line"):
        run("asen", tree, set_name="DARN")
