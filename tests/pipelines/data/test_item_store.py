"""Random access to a split: the right rows, the right labels, built once by however many."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from model.errors import ImageError
from model.preparation import ImagePreparation
from model.taxonomy import Attribute, Taxonomy
from pipelines.data import item_store
from pipelines.data.images import prepare
from pipelines.data.item_store import BadItem, ItemStore
from pipelines.data.manifest import Manifest, row_image, row_labels
from pipelines.data.taxonomy import build_taxonomy
from pipelines.errors import ManifestError

from .pictures import encoded, peak_growth, picture, shop, write_parquet

SMALL = ImagePreparation(24, 16)
TAXONOMY = Taxonomy((Attribute("collar", ("round", "v")), Attribute("detail", ("belt", "bow"), multi_label=True)))
ROWS = [
    {"collar": ["v"], "detail": ["belt", "bow"]},
    {"collar": ["round"]},
    {"detail": ["bow", "cape"]},
    {"collar": ["hood"], "detail": []},
]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest.open([shop(tmp_path / "x.parquet", ROWS, ["train", "test", "train", "train"])])


def test_rows_labels_and_pictures_of_a_split(manifest: Manifest, tmp_path: Path) -> None:
    store = ItemStore.open(manifest, TAXONOMY, split="train", cache=tmp_path / "cache")
    assert store.item_ids == ["item-0", "item-2", "item-3"] and len(store) == 3
    assert store.carried.tolist() == [[False, True, True, True], [False, False, False, True], [False] * 4]
    assert store.known.tolist() == [[True, True], [False, True], [False, False]]
    assert store.unknown == {("detail", "cape"): 1, ("collar", "hood"): 1}
    assert [store.image(n) for n in range(3)] == [picture(n) for n in (0, 2, 3)]
    assert store.bad == []
    with pytest.raises(IndexError):
        store.image(3)


def test_all_rows_and_no_rows(manifest: Manifest, tmp_path: Path) -> None:
    assert len(ItemStore.open(manifest, TAXONOMY, split=None, cache=tmp_path / "cache")) == 4
    empty = ItemStore.open(manifest, TAXONOMY, split="val", cache=tmp_path / "cache")
    assert len(empty) == 0 and empty.carried.shape == (0, 4) and empty.known.shape == (0, 2)
    assert empty.prepared([], SMALL).shape == (0, 24, 16, 3)


def test_a_split_needs_a_column_of_splits(tmp_path: Path) -> None:
    manifest = Manifest.open([shop(tmp_path / "x.parquet", ROWS)])
    with pytest.raises(ManifestError, match="no column 'split'"):
        ItemStore.open(manifest, TAXONOMY, split="train", cache=tmp_path / "cache")


def test_prepared_is_what_prepare_gives_one_by_one(manifest: Manifest, tmp_path: Path) -> None:
    store = ItemStore.open(manifest, TAXONOMY, split=None, cache=tmp_path / "cache")
    order = [3, 0, 0, 2, 1] * 5
    expected = np.stack([prepare(store.image(n), SMALL) for n in order])
    assert np.array_equal(store.prepared(order, SMALL), expected)
    assert np.array_equal(store.prepared(np.array(order), SMALL), expected)


def test_it_is_built_once(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first = ItemStore.open(manifest, TAXONOMY, split="train", cache=cache)
    stamp = (first.folder / "items.arrow").stat().st_mtime_ns
    other = Taxonomy((Attribute("collar", ("hood",)),))
    again = ItemStore.open(manifest, other, split="train", cache=cache)
    assert again.folder == first.folder and (again.folder / "items.arrow").stat().st_mtime_ns == stamp
    assert again.known.tolist() == [[False], [False], [True]]
    assert ItemStore.open(manifest, TAXONOMY, split="test", cache=cache).folder != first.folder
    monkeypatch.setattr(item_store, "_FORMAT", 999)
    assert ItemStore.open(manifest, TAXONOMY, split="train", cache=cache).folder != first.folder


def test_bad_rows_are_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "ok.png").write_bytes(picture(5))
    path = write_parquet(
        tmp_path / "x.parquet",
        {
            "item_id": ["cut", "a", "text", "none", "a", "gone", "away", "uri"],
            "image": pa.array([picture(0)[:60], picture(1), b"no picture", None, picture(2), None, None, None]),
            "image_uri": [None, None, None, None, None, "gone.png", "../x.parquet", "ok.png"],
            "collar": [["v"]] * 8,
        },
    )
    manifest = Manifest.open([path], roots=[str(tmp_path)])
    store = ItemStore.open(manifest, TAXONOMY, split=None, cache=tmp_path / "cache")
    assert store.item_ids == ["a", "uri"]
    assert [store.image(0), store.image(1)] == [picture(1), picture(5)]
    assert [(bad.item_id, bad.code) for bad in store.bad] == [
        ("cut", "TRUNCATED"), ("text", "UNSUPPORTED_FORMAT"), ("none", "EMPTY"), ("a", "DUPLICATE_ID"),
        ("gone", "NOT_FOUND"), ("away", "OUTSIDE_ROOTS"),
    ]  # fmt: skip
    assert all(isinstance(bad, BadItem) and bad.message for bad in store.bad)


def test_many_record_batches_are_one_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"collar": ["v" if n % 3 else "round"]} for n in range(150)]
    manifest = Manifest.open([shop(tmp_path / "x.parquet", rows)])
    monkeypatch.setattr(item_store, "_BATCH_BYTES", 1500)
    store = ItemStore.open(manifest, TAXONOMY, split=None, cache=tmp_path / "cache")
    assert pa.ipc.open_file(str(store.folder / "items.arrow")).num_record_batches > 5
    assert store.item_ids == [f"item-{n}" for n in range(150)]
    assert [store.image(n) for n in range(150)] == [picture(n) for n in range(150)]
    assert store.carried[:, 1].tolist() == [n % 3 > 0 for n in range(150)]


def test_an_error_names_the_item(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ItemStore.open(manifest, TAXONOMY, split=None, cache=tmp_path / "cache")
    monkeypatch.setattr(store, "image", lambda index: picture(index)[:50])
    with pytest.raises(ImageError, match="item 'item-2'") as caught:
        store.prepared([2], SMALL)
    assert caught.value.code == "TRUNCATED"


def test_a_store_travels_to_other_processes(manifest: Manifest, tmp_path: Path) -> None:
    store = ItemStore.open(manifest, TAXONOMY, split="train", cache=tmp_path / "cache")
    store.prepared([0], SMALL)
    copy = pickle.loads(pickle.dumps(store))
    assert copy.item_ids == store.item_ids and np.array_equal(copy.prepared([1], SMALL), store.prepared([1], SMALL))


def test_a_forked_process_decodes(manifest: Manifest, tmp_path: Path) -> None:
    store = ItemStore.open(manifest, TAXONOMY, split=None, cache=tmp_path / "cache")
    expected = store.prepared([0, 1], SMALL)
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(store.prepared([0, 1], SMALL), expected) else 1)
    for _ in range(200):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the forked process hangs")


def _open_in_process(path: str, cache: Path) -> tuple[str, list[str]]:
    store = ItemStore.open(Manifest.open([path]), TAXONOMY, split=None, cache=cache)
    return str(store.folder), store.item_ids


@pytest.mark.slow
def test_processes_may_build_at_once(manifest: Manifest, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        found = [task.result() for task in [pool.submit(_open_in_process, manifest.files[0], cache) for _ in range(6)]]
    assert len({folder for folder, _ in found}) == 1 and all(len(ids) == 4 for _, ids in found)
    assert len(list(cache.iterdir())) == 1, "a process left its temporary folder behind"


def test_whoever_comes_second_keeps_the_first_ones_store(manifest: Manifest, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    store = ItemStore.open(manifest, TAXONOMY, split=None, cache=cache)
    stamp = (store.folder / "items.arrow").stat().st_ino
    item_store._build(manifest, None, store.folder)
    assert (store.folder / "items.arrow").stat().st_ino == stamp and len(list(cache.iterdir())) == 1


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"item_id": ["a", None], "image": [picture(0), picture(1)]})
    with pytest.raises(ManifestError, match="row 2"):
        ItemStore.open(Manifest.open([path]), TAXONOMY, split=None, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_real_pictures(test_data: Path, tmp_path: Path) -> None:
    manifest = Manifest.open([str(test_data / "products" / "tiny.parquet")])
    taxonomy = build_taxonomy(manifest)
    rows = [row for batch in manifest.batches() for row in batch.to_pylist() if row["split"] == "val"]
    store = ItemStore.open(manifest, taxonomy, split="val", cache=tmp_path)
    assert store.item_ids == [row["item_id"] for row in rows] and not store.bad and not store.unknown
    for n, row in enumerate(rows):
        carried, known = taxonomy.encode(row_labels(row, manifest.attributes))
        assert np.flatnonzero(store.carried[n]).tolist() == sorted(carried)
        assert np.flatnonzero(store.known[n]).tolist() == known
        assert store.image(n) == row_image(row, ())
    assert store.prepared(range(len(store)), SMALL).std() > 30


@pytest.mark.slow
def test_memory_stays_flat_while_building(tmp_path: Path) -> None:
    """130 MB of pictures are put into a store, and mapped, with a fraction of that."""
    rng = np.random.default_rng(0)
    images = [encoded(Image.fromarray(rng.integers(0, 256, (60, 60, 3)).astype(np.uint8))) for _ in range(50)]
    count = 12_000
    path = write_parquet(
        tmp_path / "x.parquet",
        {
            "item_id": [str(n) for n in range(count)],
            "image": [images[n % 50] for n in range(count)],
            "collar": [["v"]] * count,
        },
        compression="none",
        use_dictionary=False,
    )
    growth = peak_growth(
        "from pathlib import Path\n"
        "from pipelines.data.item_store import ItemStore\n"
        "from pipelines.data.manifest import Manifest\n"
        "from pipelines.data.taxonomy import build_taxonomy\n"
        "m = Manifest.open([sys.argv[1]]); t = build_taxonomy(m)",
        "assert len(ItemStore.open(m, t, split=None, cache=Path(sys.argv[2]))) == 12_000",
        path,
        str(tmp_path / "cache"),
    )
    assert growth < 160
