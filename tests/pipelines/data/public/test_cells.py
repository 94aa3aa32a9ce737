"""CSV files by the names of their columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.data.public.cells import cells
from pipelines.data.public.journal import Journal
from pipelines.errors import ManifestError

from .trees import write


def test_cells_are_found_by_name_and_stripped(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", '\ufeffb, a ,c\r\n1, 2 ,3\r\n\r\n"4, ""5"""\r\n6,7,8,9')
    journal = Journal()
    assert list(cells(path, journal, ("a", "b"))) == [(2, ("2", "1")), (4, ("", '4, "5"')), (5, ("7", "6"))]
    assert journal.files == [path]


@pytest.mark.parametrize("text", ["", "\n", "a,c\n1,2\n"])
def test_a_file_without_the_columns_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "x.csv", text)
    with pytest.raises(ManifestError, match=r"x.csv: line 1 does not name the columns a, b"):
        list(cells(path, Journal(), ("a", "b")))
