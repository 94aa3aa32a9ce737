"""The folder of an import: whole or not at all, and never over something else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipelines.data.public.folder import whole_folder
from pipelines.errors import ManifestError


def put(out: Path, name: str, text: str) -> None:
    with whole_folder(out) as folder:
        (folder / name).write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with whole_folder(out) as folder:
        (folder / "manifest.parquet").write_text("x")
        assert not out.exists()
    assert names(out) == ["manifest.parquet"] and names(out.parent) == ["b"]


def test_after_an_error_nothing_is_there_or_what_was_there_before(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_folder(tmp_path / "out") as folder:
            (folder / "manifest.parquet").write_text("new")
            raise ManifestError("no")

    with pytest.raises(ManifestError, match="no"):
        fail()
    assert names(tmp_path) == []
    put(tmp_path / "out", "report.json", '{"data_set": "x"}')
    with pytest.raises(ManifestError, match="no"):
        fail()
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["report.json"]


def test_an_earlier_import_outlives_a_new_one_that_cannot_take_its_place(tmp_path: Path) -> None:
    put(tmp_path / "out", "report.json", '{"data_set": "x"}')
    with pytest.raises(ManifestError, match="cannot be moved"), whole_folder(tmp_path / "out") as folder:
        shutil.rmtree(folder)
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["report.json"]


def test_what_a_killed_run_of_the_same_process_id_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    put(tmp_path / "out", "report.json", '{"data_set": "x"}')
    left = [f".out.{kind}.{os.getpid()}" for kind in ("new", "old")]
    for name in left:
        put(tmp_path / name, "manifest.parquet", "half")
    put(tmp_path / "out", "manifest.parquet", "new")
    assert names(tmp_path) == sorted([*left, "out"]) and names(tmp_path / "out") == ["manifest.parquet"]
    assert all(names(tmp_path / name) == ["manifest.parquet"] for name in left)


def test_two_imports_at_a_time_do_not_share_a_folder(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as one:
        (one / "report.json").write_text('{"data_set": "x"}')
        put(tmp_path / "out", "report.json", '{"data_set": "y"}')
    assert names(tmp_path) == ["out"] and (tmp_path / "out/report.json").read_text() == '{"data_set": "x"}'


def test_others_may_read_it_as_any_folder_that_is_made(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    put(tmp_path / "out", "report.json", "")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_earlier_import_is_replaced_and_an_empty_folder_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    put(tmp_path / "out", "report.json", '{"data_set": "x"}')
    put(tmp_path / "out", "manifest.parquet", "new")
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["manifest.parquet"]


@pytest.mark.parametrize(
    "files",
    [
        {"mine.txt": ""},
        {"manifest.parquet": ""},
        {"report.json": '{"rows": 3}'},
        {"report.json": "not JSON"},
        {"report.json": "[" * 100_000},
        {"report.json": '{"data_set": "x"}', "mine.txt": ""},
    ],
)
def test_another_folder_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name, text in files.items():
        (out / name).write_text(text)
    with pytest.raises(ManifestError, match="something else than an earlier import"):
        put(out, "report.json", "")
    assert {path.name: path.read_text() for path in out.iterdir()} == files and names(tmp_path) == ["out"]


def test_a_file_or_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name in ("file", "link"):
        with pytest.raises(ManifestError, match="is not a folder"):
            put(tmp_path / name, "report.json", "")
    with pytest.raises(ManifestError, match="cannot be written"):
        put(tmp_path / "file" / "below", "report.json", "")
