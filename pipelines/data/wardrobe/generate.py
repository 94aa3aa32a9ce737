"""Generating a wardrobe: rows of a manifest, each a function of (seed, index) alone.

Items come in blocks of eight. A block of the train split holds eight garments drawn freely. A block of the other
splits is a *family*: a garment, then that garment with one attribute changed, once for each attribute; so what a
manipulation asks for lies in the gallery. Each picture has clutter of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.random import Generator

from pipelines.data.progress import progress
from pipelines.data.writing import make_folder, replacing
from pipelines.errors import ManifestError

from .drawing import render
from .garment import CLASSES, Garment, change_garment, sample_garment

_FAMILY = 1 + len(CLASSES)
_SPLITS = ("train", "test", "train", "val", "train", "train", "train", "test", "train", "train")  # of blocks, in turn
_BRANDS = ("Alder & Finch", "Casa Lumen", "Fjordlys", "Kumo", "Maison Prune", "Oak Street", "Tern")
_GARMENT, _CLUTTER, _SHOP, _CHANGE, _MISSING = range(5)  # what a stream of random numbers is for
_ROW_GROUP = 512
_QUALITY = 92

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("image", pa.binary()),
        ("split", pa.string()),
        ("title", pa.string()),
        ("brand", pa.string()),
        ("price", pa.float64()),
        ("in_stock", pa.bool_()),
        *((name, pa.list_(pa.string())) for name in CLASSES),
    ]
)


def generate(items: int, seed: int = 0, size: int = 96, missing: float = 0.02) -> Iterator[dict[str, Any]]:
    """Rows of `SCHEMA`, in order. A longer wardrobe begins with the same rows.

    Args:
        items: how many.
        seed: of everything.
        size: of the pictures, pixels.
        missing: share of the train split's labels that are left empty (unknown), each on its own.

    Raises:
        ManifestError: an argument is out of its range.
    """
    if items < 0 or seed < 0 or not 16 <= size <= 4096 or not 0 <= missing < 1:
        raise ManifestError(
            "a wardrobe takes items and a seed of at least 0, 16 to 4096 pixels, and a missing share of 0 to below 1; "
            f"given: items {items}, seed {seed}, size {size}, missing {missing}"
        )
    return (_row(index, seed, size, missing) for index in range(items))


def split_of(index: int) -> str:
    """The split of the item at a position."""
    return _SPLITS[index // _FAMILY % len(_SPLITS)]


def garment_of(index: int, seed: int) -> Garment:
    """The garment of the item at a position."""
    block, place = divmod(index, _FAMILY)
    if split_of(index) == "train":
        return sample_garment(_stream(seed, index, _GARMENT))
    base = sample_garment(_stream(seed, block * _FAMILY, _GARMENT))
    return base if place == 0 else change_garment(base, list(CLASSES)[place - 1], _stream(seed, index, _CHANGE))


def write_wardrobe(path: str | Path, items: int, seed: int = 0, size: int = 96, missing: float = 0.02) -> Path:
    """Write a wardrobe as one Parquet manifest, atomically; returns its path. Arguments as of `generate`.

    Raises:
        ManifestError: an argument is out of its range, or the name does not end in ``.parquet``.
    """
    path = Path(path)
    if path.suffix != ".parquet":
        raise ManifestError(f"{path}: a wardrobe is written as Parquet; let the name end in .parquet")
    rows = generate(items, seed, size, missing)
    make_folder(path.parent)
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, SCHEMA) as writer,
        progress("drawing garments", items) as advance,
    ):
        while chunk := list(islice(rows, _ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(chunk, SCHEMA))
            advance(len(chunk))
    return path


def _row(index: int, seed: int, size: int, missing: float) -> dict[str, Any]:
    garment, split = garment_of(index, seed), split_of(index)
    picture = BytesIO()
    render(garment, size, _stream(seed, index, _CLUTTER)).save(picture, "JPEG", quality=_QUALITY, subsampling=0)
    shop = _stream(seed, index, _SHOP)
    labels = garment.labels()
    if split == "train":
        lost = _stream(seed, index, _MISSING).random(len(labels)) < missing
        labels = {name: [] if gone else classes for (name, classes), gone in zip(labels.items(), lost, strict=True)}
    return {
        "item_id": f"garment-{seed}-{index:06d}",
        "image": picture.getvalue(),
        "split": split,
        "title": garment.title(),
        "brand": _BRANDS[int(shop.integers(len(_BRANDS)))],
        "price": round(float(shop.uniform(15, 240)), 2),
        "in_stock": bool(shop.random() < 0.9),
        **labels,
    }


def _stream(seed: int, index: int, purpose: int) -> Generator:
    return np.random.default_rng((seed, index, purpose))
