"""Writing whole files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data.writing import make_folder, replacing, write_text
from pipelines.errors import DuetError


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "eins\n")
    with pytest.raises(UnicodeEncodeError), replacing(path) as temporary:
        temporary.write_text("half\n\ud800", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "eins\n"
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half\n\ud800")
    assert path.read_text(encoding="utf-8") == "eins\n"
    write_text(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "new" / "er")
    make_folder(tmp_path / "new" / "er")
    assert (tmp_path / "new" / "er").is_dir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DuetError, match=f"{path}: cannot be a folder"):
            make_folder(path)
