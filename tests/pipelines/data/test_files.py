"""Which files a path, pattern or folder stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.data.files import find_sources, watched_sources
from pipelines.errors import ManifestError
from tests.s3 import S3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.csv",
        "a.PARQUET",
        "deep/er/c.jsonl",
        "deep/d.csv",
        "photo.jpg",
        "_tmp.csv",
        ".hidden.csv",
        "x[1].csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path, *paths: str) -> list[str]:
    return [os.path.relpath(source.path, folder) for source in find_sources(paths)]


def test_a_folder_stands_for_its_manifests_at_any_depth(folder: Path) -> None:
    assert names(folder, ".") == ["a.PARQUET", "b.csv", "deep/d.csv", "deep/er/c.jsonl", "x[1].csv"]
    assert [source.kind for source in find_sources(["."])] == ["parquet", "csv", "csv", "jsonl", "csv"]


def test_patterns_are_sorted_and_order_of_arguments_is_kept(folder: Path) -> None:
    assert names(folder, "deep/**/*.*", "*.csv") == ["deep/d.csv", "deep/er/c.jsonl", "_tmp.csv", "b.csv", "x[1].csv"]


def test_a_file_is_read_once_however_often_it_is_named(folder: Path) -> None:
    assert names(folder, "b.csv", str(folder / "b.csv"), "b.*") == ["b.csv"]


def test_a_name_that_looks_like_a_pattern_but_exists_is_a_name(folder: Path) -> None:
    assert names(folder, "x[1].csv") == ["x[1].csv"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("none.csv", "no such file"),
        ("*.tsv", "no file matches"),
        ("photo.jpg", "is a .parquet, .csv or .jsonl"),
        ("empty", "holds no"),
    ],
)
def test_what_stands_for_nothing_is_told(folder: Path, path: str, told: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(ManifestError, match=told) as caught:
        find_sources([path])
    assert path in str(caught.value)


def test_no_path_at_all() -> None:
    with pytest.raises(ManifestError, match="no manifest given"):
        find_sources([])


def test_a_file_that_is_moved_away_while_the_folder_is_looked_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (".half.parquet", "here.parquet", "taken.parquet"):
        (folder / name).touch()
    look = os.scandir

    def scandir(path: str) -> list[os.DirEntry[str]]:
        entries = list(look(path))
        for name in (".half.parquet", "taken.parquet"):
            (folder / name).unlink()
        return entries

    monkeypatch.setattr(os, "scandir", scandir)
    assert str(folder / "here.parquet") in [found.path for found in watched_sources(str(folder))]


def test_s3(s3: S3) -> None:
    s3.put({f"files/{name}": b"1" for name in ("a/1.csv", "a/2.csv", "a/10.csv", "a/b/3.csv", "a/p.jpg", "c/4.jsonl")})

    def found(path: str) -> list[str]:
        return [source.path.removeprefix("s3://files/") for source in find_sources([path])]

    assert found("s3://files/a") == ["a/1.csv", "a/10.csv", "a/2.csv", "a/b/3.csv"]
    assert found("s3://files/a/2.csv") == ["a/2.csv"]
    assert found("s3://files/a/?.csv") == ["a/1.csv", "a/2.csv"]
    assert found("s3://files/a/[!1]*.csv") == ["a/2.csv"]
    assert found("s3://files/**/*.csv") == ["a/1.csv", "a/10.csv", "a/2.csv", "a/b/3.csv"]
    for path in ("s3://files/none.csv", "s3://files/*.csv", "s3://files/a/p.jpg"):
        with pytest.raises(ManifestError, match="s3://files"):
            find_sources([path])
