"""The wardrobe as a manifest: a function of (seed, index), with families where manipulation is measured."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.data.images import decode
from pipelines.data.manifest import Manifest
from pipelines.data.taxonomy import build_taxonomy
from pipelines.data.wardrobe import CLASSES, SCHEMA, garment_of, generate, split_of, write_wardrobe
from pipelines.errors import ManifestError


def test_rows_depend_on_seed_and_index_alone() -> None:
    few, more = list(generate(20, seed=3, size=32)), list(generate(60, seed=3, size=32))
    assert more[:20] == few
    other = list(generate(20, seed=4, size=32))
    assert all(a["image"] != b["image"] and a["item_id"] != b["item_id"] for a, b in zip(few, other, strict=True))


def test_rows_are_of_the_schema() -> None:
    rows = list(generate(40, size=32))
    assert all(list(row) == SCHEMA.names for row in rows)
    assert len({row["item_id"] for row in rows}) == len({row["image"] for row in rows}) == 40
    assert all(Image.open(BytesIO(row["image"])).size == (32, 32) for row in rows)


def test_shares_of_the_splits_and_all_of_them_in_the_first_forty() -> None:
    counts = Counter(split_of(n) for n in range(800))
    assert counts == {"train": 560, "val": 80, "test": 160}
    assert set(Counter(split_of(n) for n in range(32))) == {"train", "val", "test"}


@pytest.mark.parametrize("seed", [0, 5])
def test_val_and_test_are_families(seed: int) -> None:
    """Each family has a garment and one change of each of its attributes, so that what is asked for exists."""
    starts = [n for n in range(0, 800, 8) if split_of(n) != "train"]
    for start in starts:
        assert {split_of(n) for n in range(start, start + 8)} == {split_of(start)}
        family = [garment_of(n, seed).labels() for n in range(start, start + 8)]
        differing = [[name for name in CLASSES if member[name] != family[0][name]] for member in family[1:]]
        assert differing == [[name] for name in CLASSES]


def test_train_is_drawn_freely() -> None:
    train = [tuple(map(tuple, garment_of(n, 0).labels().values())) for n in range(800) if split_of(n) == "train"]
    assert len(set(train)) > 0.99 * len(train)


def test_labels_are_missing_in_train_alone_and_at_their_rate() -> None:
    rows = list(generate(320, size=16, missing=0.2))
    empty = {
        split: [not row[name] for row in rows if row["split"] == split for name in CLASSES]
        for split in ("train", "val", "test")
    }
    assert not any(empty["val"]) and not any(empty["test"])
    assert 0.16 < np.mean(empty["train"]) < 0.24
    full = list(generate(320, size=16, missing=0.0))
    assert all(row[name] for row in full for name in CLASSES)
    assert [row["image"] for row in full] == [row["image"] for row in rows]
    for row, whole in zip(rows, full, strict=True):
        assert all(row[name] in ([], whole[name]) for name in CLASSES)


def test_it_is_a_manifest(tmp_path: Path) -> None:
    path = write_wardrobe(tmp_path / "new" / "w.parquet", 600, seed=1, size=24)
    manifest = Manifest.open([str(path)])
    assert manifest.count() == 600 and manifest.has_split
    assert manifest.attributes == tuple(CLASSES) and manifest.metadata == ("title", "brand", "price", "in_stock")
    taxonomy = build_taxonomy(manifest)
    assert {a.name: a.classes for a in taxonomy.attributes} == dict(CLASSES)
    assert [a.name for a in taxonomy.attributes if a.multi_label] == ["details"]
    assert pq.ParquetFile(path).num_row_groups == 2
    assert all(decode(row["image"]).size == (24, 24) for row in next(manifest.batches(5)).to_pylist())
    assert [p.name for p in path.parent.iterdir()] == ["w.parquet"]


@pytest.mark.parametrize(
    "arguments", [{"items": -1}, {"items": 1, "seed": -1}, {"items": 1, "size": 8}, {"items": 1, "missing": 1.0}]
)
def test_impossible_arguments(arguments: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="a wardrobe takes"):
        generate(**arguments)  # type: ignore[arg-type]


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"\.parquet"):
        write_wardrobe(tmp_path / "w.csv", 1)


@pytest.mark.slow
def test_pixels_alone_tell_little() -> None:
    """The nearest picture by pixels seldom shares a class: the clutter does its work."""
    rows = list(generate(800, size=32, missing=0))
    pixels = np.stack([np.asarray(decode(row["image"]), np.float32).ravel() / 255 for row in rows])
    test = np.array([row["split"] == "test" for row in rows])
    distance = (
        (pixels[test] ** 2).sum(1)[:, None] + (pixels[~test] ** 2).sum(1) - 2 * pixels[test] @ pixels[~test].T
    ).argmin(1)
    for name in ("category", "collar", "pattern"):
        labels = np.array([row[name][0] for row in rows])
        hits = float((labels[test] == labels[~test][distance]).mean())
        assert hits < 0.45, (name, hits)
