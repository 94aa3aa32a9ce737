"""Pictures and manifests that the tests of data share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image as a file of the given format."""
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def picture(seed: int = 0, size: tuple[int, int] = (12, 16)) -> bytes:
    """A PNG of smooth random colours."""
    values = np.random.default_rng(seed).integers(0, 256, (3, 3, 3)).astype(np.uint8)
    return encoded(Image.fromarray(values).resize(size))


def write_parquet(path: Path, columns: Mapping[str, Any], **options: Any) -> str:
    """A Parquet file of the columns; returns its path."""
    pq.write_table(pa.table(dict(columns)), path, **options)
    return str(path)


def peak_growth(setup: str, work: str, *arguments: str) -> float:
    """By how many MiB a fresh process's peak memory grows over `work` (Python text; `sys.argv[1:]` = arguments)."""
    peak = "int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    program = f"import sys\n{setup}\nbefore = {peak}\n{work}\nprint(({peak} - before) / 1024)\n"
    command = [sys.executable, "-c", program, *arguments]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=200).stdout)


def shop(path: Path, labels: Sequence[Mapping[str, Sequence[str]]], split: Sequence[str] | None = None) -> str:
    """A manifest with one picture and the labels of each item; ids are item-0, item-1, …"""
    names = sorted({name for row in labels for name in row})
    columns: dict[str, Any] = {
        "item_id": [f"item-{n}" for n in range(len(labels))],
        "image": [picture(n) for n in range(len(labels))],
    }
    if split is not None:
        columns["split"] = list(split)
    for name in names:
        columns[name] = pa.array([list(row.get(name, ())) for row in labels], pa.list_(pa.string()))
    return write_parquet(path, columns)
