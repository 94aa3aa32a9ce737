"""DeepFashion: the older folder, and files that are something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import ManifestError

from .importer import labels, run
from .trees import deepfashion, write


def test_the_first_release_s_folders(tree: Path) -> None:
    expected = deepfashion(tree)
    (tree / "Anno_coarse").rename(tree / "Anno")
    (tree / "Img/img").rename(tree / "img")
    done = run("deepfashion", tree)
    assert labels(done) == {name: row[2] for name, row in expected.rows.items()} and done.root == tree


def test_fine_attributes_are_refused(tree: Path) -> None:
    deepfashion(tree)
    write(
        tree / "Anno_coarse/list_attr_img.txt", "2\nimage_name\nimg/A_Dress/img_1.jpg 1 0\nimg/A_Dress/img_2.jpg 0 1\n"
    )
    with pytest.raises(ManifestError, match=r"list_attr_img.txt, line 3: 'img/A_Dress/img_1.jpg 1 0': neither this"):
        run("deepfashion", tree)
