"""Tables of ids and names: what is read, and what is refused in words."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import ManifestError
from pipelines.evaluate.text_table import read_text_table


def test_reads_text_whatever_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    ids = pa.array(["x", "y", "x"]).dictionary_encode()
    pq.write_table(pa.table({"b": pa.array([7, 8, 9]), "more": [0.5] * 3, "a": ids, "c": ["k", None, "l"]}), path)
    expected = {"a": ["x", "y", "x"], "b": ["7", "8", "9"]}
    assert read_text_table(path, "a list", ["a", "b"], ["d"]).to_pydict() == expected
    assert read_text_table(path, "a list", ["a", "b"], ["c"]).to_pydict() == {**expected, "c": ["k", None, "l"]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "a.parquet: not there"),
        (b"text", "a.parquet: cannot be read as a list"),
        (pa.table({"a": ["x"]}), "a list has the columns a, b; 'b' is missing"),
        (pa.table({"a": ["x", None], "b": ["y", "z"]}), "1 rows have no 'a'"),
        (pa.table({"a": ["x"], "b": [{"z": 1}]}), "cannot be read as a list"),
    ],
)
def test_faults_are_said(table: pa.Table | bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    if isinstance(table, bytes):
        path.write_bytes(table)
    elif table is not None:
        pq.write_table(table, path)
    with pytest.raises(ManifestError, match=message):
        read_text_table(path, "a list", ["a", "b"])
