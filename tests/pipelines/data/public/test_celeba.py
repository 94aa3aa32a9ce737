"""CelebA: groups of binary names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import ManifestError

from .importer import labels, run
from .trees import celeba, write


def test_groups_can_be_replaced(tree: Path) -> None:
    celeba(tree)
    groups = write(
        tree.parent / "groups.json", json.dumps({"hat?": ["Wearing_Hat", "not Wearing_Hat"], "x": ["Bangs"]})
    )
    assert labels(run("celeba", tree, groups=groups)) == {
        "000001.jpg": {"hat?": {"not Wearing_Hat"}, "x": {"Bangs"}},
        "000002.jpg": {"hat?": {"Wearing_Hat"}},
        "000004.jpg": {"hat?": {"not Wearing_Hat"}},
    }


def test_all_files_in_one_folder(tree: Path) -> None:
    expected = celeba(tree)
    for path in [*tree.rglob("*.txt"), tree / "Img/img_align_celeba"]:
        path.rename(tree / path.name)
    done = run("celeba", tree)
    assert labels(done) == {name: row[2] for name, row in expected.rows.items()}
    assert done.root == tree / "img_align_celeba"


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ("{", "not readable groups"),
        ("[" * 100_000, "not readable groups"),
        ("[]", "groups are"),
        ("{}", "groups are"),
        ('{"a": []}', "groups are"),
        ('{"a": [3]}', "groups are"),
        ('{"a": ["not Blue_Hair"]}', "has no attribute 'Blue_Hair'"),
        ('{"split": ["Male"]}', "an attribute 'split', a name that is taken"),
    ],
)
def test_other_groups_are_refused(tree: Path, groups: str, told: str) -> None:
    celeba(tree)
    with pytest.raises(ManifestError, match=told):
        run("celeba", tree, groups=write(tree.parent / "groups.json", groups))
    with pytest.raises(ManifestError, match=r"none.json: not readable groups"):
        run("celeba", tree, groups=tree / "none.json")


@pytest.mark.parametrize("head", ["", "names only\n", "3\n000001.jpg 1 -1\n"])
def test_another_file_is_refused(tree: Path, head: str) -> None:
    celeba(tree)
    write(tree / "Anno/list_attr_celeba.txt", head)
    with pytest.raises(ManifestError, match=r"list_attr_celeba.txt: begins with no number and line of names"):
        run("celeba", tree)
