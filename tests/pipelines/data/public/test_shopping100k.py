"""Shopping100k: rows of zeros and ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import ManifestError

from .importer import labels, run
from .trees import shopping100k, write


def put(tree: Path, sizes: str, rows: list[str]) -> None:
    """A set of these rows in train, and one of zeros in test."""
    write(tree / "attr_num.txt", sizes)
    write(tree / "imgs_train.txt", "".join(f"{n}.jpg\n" for n in range(len(rows))))
    write(tree / "labels_train.txt", "\n".join(rows))
    write(tree / "imgs_test.txt", "test.jpg\n")
    write(tree / "labels_test.txt", " ".join("0" * len(rows[0].split())))


@settings(max_examples=10, deadline=None)
@given(st.data(), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_against_writing_one_bit_at_a_time(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, sizes: list[int]
) -> None:
    tree = tmp_path_factory.mktemp("shopping") / "tree"
    tree.mkdir()
    one = st.tuples(*(st.none() | st.integers(0, size - 1) for size in sizes))
    items = data.draw(st.lists(one, min_size=1, max_size=4))
    rows = []
    for classes in items:
        bits = [[int(own == place) for place in range(size)] for own, size in zip(classes, sizes, strict=True)]
        rows.append(" ".join(str(bit) for part in bits for bit in part))
    put(tree, " ".join(map(str, sizes)), rows)
    found = labels(run("shopping100k", tree, check_images=False))
    for n, classes in enumerate(items):
        assert found[f"{n}.jpg"] == {f"attribute {a}": {str(m)} for a, m in enumerate(classes) if m is not None}


def test_sizes_may_be_a_list(tree: Path) -> None:
    put(tree, "[2, 1]\n", ["0 1 0"])
    assert labels(run("shopping100k", tree, check_images=False))["0.jpg"] == {"attribute 0": {"1"}}


def test_two_classes_of_one_attribute_are_no_row(tree: Path) -> None:
    put(tree, "2\n1\n", ["1 1 0", "0 1 1", "0 2 0"])
    done = run("shopping100k", tree, check_images=False)
    assert set(labels(done)) == {"1.jpg", "test.jpg"}
    assert done.journal.skipped.counts == {"several classes of one attribute": 1, "not 3 zeros and ones": 1}


def test_as_many_rows_as_pictures(tree: Path) -> None:
    shopping100k(tree)
    write(tree / "imgs_train.txt", "m/1.jpg\nm/2.jpg\n")
    with pytest.raises(ManifestError, match=r"labels_train.txt: has 3 rows for the 2 pictures of .*imgs_train.txt"):
        run("shopping100k", tree)


@pytest.mark.parametrize("text", ["", "a b", "2 0"])
def test_other_sizes_are_refused(tree: Path, text: str) -> None:
    shopping100k(tree)
    write(tree / "attr_num.txt", text)
    with pytest.raises(ManifestError, match=r"attr_num.txt: not a list of numbers of classes"):
        run("shopping100k", tree)


def test_pointers_of_git_lfs_are_told(tree: Path) -> None:
    shopping100k(tree)
    write(tree / "labels_test.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:19\nsize 6040000\n")
    with pytest.raises(ManifestError, match=r"labels_test.txt: only Git LFS's pointer"):
        run("shopping100k", tree)
