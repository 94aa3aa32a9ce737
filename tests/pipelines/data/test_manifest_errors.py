"""A manifest that cannot be read is told by file, row and column."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.data.manifest import Manifest
from pipelines.errors import ManifestError

from .pictures import picture, write_parquet

PNG = picture()


def rows_of(manifest: Manifest, **options: Any) -> list[dict[str, Any]]:
    return [row for batch in manifest.batches(**options) for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"image": [PNG]}, "no column 'item_id'"),
        ({"item_id": ["a"]}, "neither a column 'image' nor 'image_uri'"),
        ({"item_id": [1.5], "image": [PNG]}, "column 'item_id': is double"),
        ({"item_id": ["a"], "image": ["a.jpg"]}, "call the column of locations 'image_uri'"),
        ({"item_id": ["a"], "image": [PNG], "split": [1]}, "column 'split': is int64"),
        ({"item_id": ["a"], "image_uri": ["a.jpg"]}, "name the folder"),
        ({"item_id": ["a"], "image": [PNG], "\x07": [["b"]]}, "control character"),
        ({"item_id": ["a"], "image": [PNG], "e\u0301": ["b"], "\u00e9": ["c"]}, "has a column twice"),
    ],
)
def test_impossible_columns(tmp_path: Path, columns: dict[str, Any], told: str) -> None:
    path = write_parquet(tmp_path / "x.parquet", columns)
    with pytest.raises(ManifestError, match=told):
        Manifest.open([path])


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (["collar"], r"no file has a column 'collar'.*\(columns: 'vector', 'n'\)"),
        (["item_id"], "has a meaning of its own"),
        (["n", "n"], "named twice"),
        (["vector"], "an attribute is a list of text"),
    ],
)
def test_impossible_attributes(tmp_path: Path, attributes: list[str], told: str) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"item_id": ["a"], "image": [PNG], "vector": [[0.5]], "n": ["x"]})
    with pytest.raises(ManifestError, match=told):
        Manifest.open([path], attributes=attributes)


def test_contradicting_types_name_both_files(tmp_path: Path) -> None:
    write_parquet(tmp_path / "1.parquet", {"item_id": ["a"], "image": [PNG], "price": [1]})
    write_parquet(tmp_path / "2.parquet", {"item_id": ["b"], "image": [PNG], "price": ["cheap"]})
    with pytest.raises(ManifestError, match=r"'price' has contradicting types.*1\.parquet.*2\.parquet"):
        Manifest.open([str(tmp_path)])


def test_csv_files_that_disagree_are_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("item_id,image_uri,code\n1,a.jpg,1.50\n")
    (tmp_path / "2.csv").write_text("item_id,image_uri,code\n2,b.jpg,A7\n")
    manifest = Manifest.open([str(tmp_path)], roots=["."])
    assert [row["code"] for row in rows_of(manifest)] == ["1.50", "A7"]


@pytest.mark.parametrize(
    ("ids", "row", "told"),
    [
        (["a", None, "c"], 2, "is empty"), (["a", "b", ""], 3, "is empty"), (["  "], 1, "is empty"),
        (["a", "b\n"], 2, "control character"), (["x" * 513], 1, "at most 512"),
    ],
)  # fmt: skip
def test_ids_that_cannot_be_used(tmp_path: Path, ids: list[str | None], row: int, told: str) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"item_id": ids, "image": [PNG] * len(ids)})
    with pytest.raises(ManifestError, match=rf"x\.parquet, row {row}, column 'item_id': .*{told}"):
        rows_of(Manifest.open([path]), rows=2)


def test_a_value_that_does_not_fit_names_rows_and_column(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet",
        {"item_id": ["a", "b", "c"], "image": [PNG] * 3, "n": pa.array([1, 2, 2**63], pa.uint64())},
    )
    with pytest.raises(ManifestError, match=r"rows 3 to 3, column 'n'"):
        rows_of(Manifest.open([path]), rows=2)


def test_text_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    bad = pa.array([b"\xff"], pa.binary()).view(pa.string())
    path = write_parquet(tmp_path / "x.parquet", {"item_id": ["a"], "image": [PNG], "title": bad})
    with pytest.raises(ManifestError, match=r"column 'title': .*UTF8"):
        rows_of(Manifest.open([path]))


def test_a_damaged_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_parquet(path, {"item_id": [f"item {n}" for n in range(500)], "image": [os.urandom(200) for _ in range(500)]})
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:-20])
    with pytest.raises(ManifestError, match=r"x\.parquet: not a readable Parquet file"):
        Manifest.open([str(path)])
    data[4:40] = bytes(36)
    path.write_bytes(data)
    with pytest.raises(ManifestError, match=r"x\.parquet, after row 0: damaged"):
        rows_of(Manifest.open([str(path)]))
