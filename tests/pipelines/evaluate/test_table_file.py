"""Tables of an evaluation's folder: whole or not at all, and nothing else in their place."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.errors import DuetError
from pipelines.evaluate.table_file import read_table, save_table

TABLE = pa.table({"a": [1, 2], "b": ["x", None]})


def test_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    save_table(TABLE.slice(1), path)
    save_table(TABLE, path)
    assert read_table(path, "things", ["a"]).equals(TABLE) and list(tmp_path.iterdir()) == [path]


def test_faults_are_said(tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    with pytest.raises(DuetError, match=rf"made.parquet: not there; `duet evaluate --out {tmp_path}` writes it"):
        read_table(path, "things", ["a"])
    path.write_bytes(b"of another kind")
    with pytest.raises(DuetError, match="cannot be read"):
        read_table(path, "things", ["a"])
    save_table(TABLE, path)
    with pytest.raises(DuetError, match="not a table of things; its columns are a, b"):
        read_table(path, "things", ["b"])
