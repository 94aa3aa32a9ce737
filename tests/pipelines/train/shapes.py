"""A tiny catalogue that can be learned: coloured bars on a background."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
BARS = ("left", "right", "top")


def write_shapes(path: Path, items: int, seed: int = 0, size: int = 32) -> Path:
    """A Parquet manifest: ``colour`` (single-label), ``bars`` (multi-label, sometimes unknown), split 3:1."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(items):
        colour = str(rng.choice(list(COLOURS)))
        bars = [bar for bar in BARS if rng.random() < 0.5] or ["top"]
        pixels = np.full((size, size, 3), rng.integers(150, 255), np.uint8)
        pixels[size // 4 : -size // 4, size // 4 : -size // 4] = COLOURS[colour]
        for bar in bars:
            edge = {"left": np.s_[:, :4], "right": np.s_[:, -4:], "top": np.s_[:4, :]}[bar]
            pixels[edge] = 0
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        unknown = rng.random() < 0.2
        rows.append(
            {
                "item_id": f"shape-{number:04d}",
                "image": buffer.getvalue(),
                "colour": [colour],
                "bars": [] if unknown else bars,
                "split": "val" if number % 4 == 3 else "train",
            }
        )
    labels = pa.list_(pa.string())
    schema = pa.schema(
        [("item_id", pa.string()), ("image", pa.binary()), ("colour", labels), ("bars", labels), ("split", pa.string())]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path
