"""Any manifest of the documented form works."""

from __future__ import annotations

import json
import os
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import ImageError
from pipelines.data.manifest import Manifest, row_image, row_labels
from pipelines.errors import ManifestError
from tests.s3 import S3

from .pictures import peak_growth, picture, write_parquet

PNG = picture()


def rows_of(manifest: Manifest, **options: Any) -> list[dict[str, Any]]:
    return [row for batch in manifest.batches(**options) for row in batch.to_pylist()]


def test_the_documented_columns(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet",
        {
            "price": [1.5, None],
            "collar": pa.array([["round"], None]),
            "item_id": ["a", "b"],
            "split": ["train", None],
            "image": [PNG, None],
            "image_uri": [None, "b.jpg"],
            "neck line é": pa.array([["v", "deep"], []]),
        },
    )
    manifest = Manifest.open([path], roots=["pictures"])
    assert manifest.files == (path,) and manifest.count() == 2 and manifest.has_split
    assert manifest.attributes == ("collar", "neck line é") and manifest.metadata == ("price",)
    assert manifest.schema.names[:4] == ["item_id", "image", "image_uri", "split"]
    assert not manifest.schema.field("item_id").nullable
    assert manifest.roots == (str(Path("pictures").absolute()),)
    first, second = rows_of(manifest)
    assert first == {
        "item_id": "a", "image": PNG, "image_uri": None, "split": "train", "price": 1.5, "collar": ["round"],
        "neck line é": ["v", "deep"],
    }  # fmt: skip
    assert second["collar"] == [] and second["neck line é"] == []
    assert row_labels(first, manifest.attributes) == {"collar": ["round"], "neck line é": ["v", "deep"]}
    assert row_labels({"collar": None}, ["collar", "hem"]) == {"collar": [], "hem": []}


def test_files_may_differ_and_order_is_kept(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "1.parquet", {"item_id": pa.array([1, 2], pa.int32()), "image": [PNG, PNG], "n": pa.array([1, 2])}
    )
    (tmp_path / "2.csv").write_text("image_uri,item_id,n,collar\nx.png,3,0.5,round|v\n")
    (tmp_path / "3.jsonl").write_text('{"item_id": "4", "image_uri": "y.png", "collar": "round", "split": "test"}\n')
    manifest = Manifest.open([str(tmp_path)], roots=[str(tmp_path)], attributes=["collar"])
    assert manifest.schema == pa.schema(
        [
            pa.field("item_id", pa.string(), nullable=False), ("image", pa.large_binary()), ("image_uri", pa.string()),
            ("split", pa.string()), ("n", pa.float64()), ("collar", pa.list_(pa.string())),
        ]
    )  # fmt: skip
    found = rows_of(manifest)
    assert [row["item_id"] for row in found] == ["1", "2", "3", "4"]
    assert [row["n"] for row in found] == [1.0, 2.0, 0.5, None]
    assert [row["collar"] for row in found] == [[], [], ["round", "v"], ["round"]]
    assert [row["split"] for row in found] == [None, None, None, "test"]


def test_batches_are_exact_and_choose_columns(tmp_path: Path) -> None:
    write_parquet(tmp_path / "1.parquet", {"item_id": list(map(str, range(10))), "image": [PNG] * 10}, row_group_size=3)
    write_parquet(tmp_path / "2.parquet", {"item_id": ["x"], "image": [PNG]})
    manifest = Manifest.open([str(tmp_path)])
    assert [batch.num_rows for batch in manifest.batches(4)] == [4, 4, 2, 1]
    batches = list(manifest.batches(100, ["image", "item_id"]))
    assert [b.schema.names for b in batches] == [["image", "item_id"]] * 2
    assert [row["item_id"] for row in rows_of(manifest, rows=4, columns=["item_id"])] == [*map(str, range(10)), "x"]
    with pytest.raises(ManifestError, match="no column 'colour'"):
        next(manifest.batches(1, ["colour"]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 12))
def test_batches_cut_rows_nowhere_else(
    tmp_path_factory: pytest.TempPathFactory, count: int, group: int, rows: int
) -> None:
    path = tmp_path_factory.mktemp("batches") / "x.parquet"
    ids = [f"i{n}" for n in range(count)]
    columns = {"item_id": pa.array(ids, pa.string()), "image": pa.array([PNG] * count, pa.binary())}
    manifest = Manifest.open([write_parquet(path, columns, row_group_size=group)])
    sizes = [batch.num_rows for batch in manifest.batches(rows)]
    assert sizes == [rows] * (count // rows) + [count % rows] * (count % rows > 0)
    assert [row["item_id"] for row in rows_of(manifest, rows=rows)] == ids


def test_a_string_column_is_metadata_unless_it_is_named(tmp_path: Path) -> None:
    columns = {
        "item_id": ["a"],
        "image": [PNG],
        "colour": pa.array(["red|blue"]).dictionary_encode(),
        "hem": [["long"]],
    }
    path = write_parquet(tmp_path / "x.parquet", columns)
    plain, named = Manifest.open([path]), Manifest.open([path], attributes=["colour"])
    assert (plain.attributes, plain.metadata) == (("hem",), ("colour",))
    assert named.attributes == ("colour",) and named.metadata == () and list(named.roles.ignored) == ["hem"]
    assert rows_of(named)[0]["colour"] == ["red|blue"]


def test_attributes_are_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"item_id": ["a"], "image": [PNG], "a": [["1"]], "b": [["2"]]})
    assert Manifest.open([path], attributes=["b", "a"]).attributes == ("b", "a")
    assert Manifest.open([path], attributes=[]).attributes == ()


def test_names_are_one_in_every_normal_form(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "décolleté")
    path = write_parquet(tmp_path / "x.parquet", {"item_id": [apart], "image": [PNG], apart: [[apart]]})
    manifest = Manifest.open([path], attributes=[apart])
    assert manifest.attributes == ("décolleté",)
    assert rows_of(manifest) == [{"item_id": "décolleté", "image": PNG, "décolleté": ["décolleté"]}]


def test_labels_of_a_csv_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("item_id,image_uri,cafe\u0301\n1,a.jpg,1.50|007\n2,b.jpg,2\n3,c.jpg,\n")
    manifest = Manifest.open([str(tmp_path / "x.csv")], roots=["."], attributes=["café"])
    assert [row["café"] for row in rows_of(manifest)] == [["1.50", "007"], ["2"], []]


@pytest.mark.parametrize(
    "name", ["a.b", "a", "list", "neck.line.list.element", "a/b", "`x`", "'quoted\" name'", "∑", " a "]
)
def test_odd_attribute_names(tmp_path: Path, name: str) -> None:
    columns = {"item_id": ["a"], "image": [PNG], "a": [["1"]], "a.b": [["2"]], "a.b.c": [3], name: [["4"]]}
    manifest = Manifest.open([write_parquet(tmp_path / "x.parquet", columns)])
    assert set(manifest.attributes) == {"a", "a.b", name} and manifest.metadata == ("a.b.c",)
    assert rows_of(manifest, columns=["item_id", name]) == [{"item_id": "a", name: ["4"]}]
    assert rows_of(manifest)[0]["a.b.c"] == 3


def test_a_list_of_items_to_delete_needs_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("item_id\n1\n2\n")
    manifest = Manifest.open([str(tmp_path / "x.csv")], require_image=False)
    assert [row["item_id"] for row in rows_of(manifest)] == ["1", "2"]


def test_an_empty_manifest_has_no_rows(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet", {"item_id": pa.array([], pa.string()), "image": pa.array([], pa.binary())}
    )
    manifest = Manifest.open([path])
    assert manifest.count() == 0 and rows_of(manifest) == []


def test_the_digest_follows_files_attributes_and_roots(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"item_id": ["a"], "image": [PNG], "a": [["1"]]})
    first = Manifest.open([path])
    assert first.digest == Manifest.open([path]).digest
    assert (
        len({first.digest, Manifest.open([path], attributes=[]).digest, Manifest.open([path], roots=["."]).digest}) == 3
    )
    os.utime(path, ns=(1, 1))
    assert Manifest.open([path]).digest != first.digest


def test_a_manifest_travels_to_other_processes(tmp_path: Path) -> None:
    manifest = Manifest.open([write_parquet(tmp_path / "x.parquet", {"item_id": ["a"], "image": [PNG], "s": [1]})])
    assert rows_of(pickle.loads(pickle.dumps(manifest))) == rows_of(manifest)


def test_row_image(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(PNG)
    roots = [str(tmp_path)]
    assert row_image({"item_id": "a", "image": b"inline", "image_uri": "p.png"}, roots) == b"inline"
    assert row_image({"item_id": "a", "image": None, "image_uri": "p.png"}, roots) == PNG
    assert row_image({"item_id": "a", "image": b"", "image_uri": "p.png"}, roots) == PNG
    with pytest.raises(ImageError, match="'a' has neither") as caught:
        row_image({"item_id": "a", "image": None}, roots)
    assert caught.value.code == "EMPTY"


def test_pandas_types_are_read_as_they_are_meant(tmp_path: Path) -> None:
    """What pandas (categories, nullable integers, objects) and polars (large and view types) write."""
    path = write_parquet(
        tmp_path / "x.parquet",
        {
            "item_id": pa.array(["a", "b"], pa.large_string()),
            "image": pa.array([PNG, PNG], pa.large_binary()),
            "brand": pa.array(["x", None]).dictionary_encode(),
            "stock": pa.array([1, None], pa.int16()),
            "when": pa.array([0, None], pa.timestamp("ns", "UTC")),
            "collar": pa.array([["v"], None], pa.large_list(pa.large_string())),
            "fit": pa.array([["slim"], ["wide"]], pa.list_(pa.string(), 1)),
            "__index_level_0__": [0, 1],
        },
    )
    manifest = Manifest.open([path])
    assert manifest.attributes == ("collar", "fit")
    first, second = rows_of(manifest)
    assert (first["brand"], first["stock"], first["collar"], first["fit"]) == ("x", 1, ["v"], ["slim"])
    assert (second["brand"], second["stock"], second["when"], second["collar"]) == (None, None, None, [])


def test_s3(tmp_path: Path, s3: S3) -> None:
    data = Path(write_parquet(tmp_path / "x.parquet", {"item_id": ["a"], "image": [PNG]})).read_bytes()
    line = json.dumps({"item_id": "b", "image_uri": "s3://manifests/pics/b.png"}).encode()
    s3.put({"manifests/m/1.parquet": data, "manifests/m/2.jsonl": line, "manifests/pics/b.png": PNG})
    manifest = Manifest.open(["s3://manifests/m"], roots=["s3://manifests/pics"])
    assert manifest.count() == 2
    assert [row_image(row, manifest.roots) for row in rows_of(manifest)] == [PNG, PNG]


def test_real_pictures(test_data: Path) -> None:
    manifest = Manifest.open([str(test_data / "products" / "tiny.parquet")])
    assert manifest.attributes == ("article_type", "colour", "gender", "usage", "season", "detail")
    assert manifest.metadata == ("title",)
    found = rows_of(manifest, rows=100)
    assert len(found) == manifest.count() == len({row["item_id"] for row in found})
    assert all(row["image"][:2] == b"\xff\xd8" and len(row["colour"]) == 1 for row in found)
    assert 0.5 < np.mean([not row["detail"] for row in found]) < 0.8


@pytest.mark.slow
def test_memory_stays_flat_on_a_file_of_one_row_group(tmp_path: Path) -> None:
    """240 MB of pictures in a single row group: memory is that of a few Parquet pages (1024 rows), not of the file."""
    image = pa.array([os.urandom(20_000) for _ in range(12_000)], pa.binary())
    ids = [f"item-{n}" for n in range(12_000)]
    pq.write_table(pa.table({"item_id": ids, "image": image}), tmp_path / "x.parquet", compression="none")
    growth = peak_growth(
        "from pipelines.data.manifest import Manifest; m = Manifest.open([sys.argv[1]])",
        "assert sum(b.num_rows for b in m.batches(16)) == 12_000",
        str(tmp_path / "x.parquet"),
    )
    assert growth < 200
