"""Does a larger index cost more? Memory of a whole ingestion, and the time of an increment, at two sizes.

    python -m benchmarks.growth                        # 10,000 and 100,000 items: ten minutes
    python -m benchmarks.growth --sizes 2000 20000

Drawn pictures and a small, untrained encoder (32 x 32 pixels), so that little but reading, writing, committing and
upkeep is left to measure. Each size is ingested by `duet ingest` in processes of its own, whose memory is looked at
several times a second (USS: what a process shares with no other). Then increments of 1,000 items that have another
picture go to both indices in turn, each published. None adds an item: the smaller index would grow beyond 20,000 items,
and build vector indices of its own. Costs are compared as means, since upkeep comes every few increments: of a dozen
one extends the larger index's vector indices, and every fourth of those makes their parts one; hence 48. The claims: an
increment into the larger one costs at most 1.3 times one into the smaller; and memory stays as it is.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from benchmarks.duet import taxonomy_of
from model.checkpoint import save_checkpoint
from model.encoder import EncoderConfig
from model.preparation import ImagePreparation
from model.systems.m3net import M3Net
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings

_WORKER = "ray::MapWorker"  # how the encoding worker calls itself
_LOOK = 0.25  # seconds


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        torch.manual_seed(0)
        encoder = M3Net(EncoderConfig(backbone="resnet18", hidden=8), taxonomy_of(options.attributes, 8)).eval()
        save_checkpoint(folder / "checkpoint", encoder, ImagePreparation(32, 32))
        for size in options.sizes:
            _draw(folder / f"{size}.parquet", range(size))
            began = time.monotonic()
            driver, worker = _peaks(_command(folder, size))
            rate = size / (time.monotonic() - began)
            print(
                f"{size:>9,} items: {rate:5,.0f} items/s; driver {driver:,.0f} MB, worker {worker:,.0f} MB", flush=True
            )
        times: dict[int, list[float]] = {size: [] for size in options.sizes}
        for number in range(options.increments + 1):
            for size, own in times.items():
                settings = _increment(folder, size, number, options.items)
                began = time.perf_counter()
                summary = run_ingest(settings)
                took = time.perf_counter() - began
                assert (summary.new, summary.changed) == (0, options.items), summary
                if number:  # the first is a warm-up
                    own.append(took)
    means = {size: statistics.mean(own) for size, own in times.items()}
    for size, own in times.items():
        print(
            f"an increment of {options.items:,} into {size:,}: mean {means[size]:.2f} s, median "
            f"{statistics.median(own):.2f} s, {min(own):.2f} to {max(own):.2f} s"
        )
    small, large = min(means), max(means)
    print(f"ratio of the means {means[large] / means[small]:.2f}; claimed: at most 1.3")
    return 0


def _command(folder: Path, size: int) -> list[str]:
    arguments = ["--manifest", str(folder / f"{size}.parquet"), "--index", str(folder / f"index-{size}")]
    return [sys.executable, "-m", "pipelines.ingest", *arguments, "--checkpoint", str(folder / "checkpoint")]


def _increment(folder: Path, size: int, number: int, items: int) -> IngestSettings:
    """An ingestion of items that have another picture."""
    path = folder / "increment.parquet"
    _draw(path, [(number * items + place) % size for place in range(items)], look=number + 1)
    return IngestSettings(manifest=[str(path)], index=str(folder / f"index-{size}"), inline_rows=items)


def _peaks(command: list[str]) -> tuple[float, float]:
    """Runs it -> highest USS in MB, of the process and of the encoding worker."""
    driver, worker = 0.0, 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        process = psutil.Process(run.pid)
        while run.poll() is None:
            driver = max(driver, *_uss([process]), 0.0)
            children = process.children(recursive=True)
            worker = max(worker, *_uss([child for child in children if _title(child).startswith(_WORKER)]), 0.0)
            time.sleep(_LOOK)
        assert run.returncode == 0, command
    return driver, worker


def _uss(processes: Sequence[psutil.Process]) -> Iterator[float]:
    for process in processes:
        try:
            yield process.memory_full_info().uss / 1e6
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it has ended meanwhile


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def _draw(path: Path, numbers: Sequence[int], look: int = 0) -> None:
    """A JPEG of 40 x 48 pixels for each number, another one for each look."""
    schema = pa.schema([("item_id", pa.string()), ("image", pa.binary())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(numbers), 1_000):
            part = numbers[start : start + 1_000]
            images = []
            for number in part:
                small = np.random.default_rng((look, number)).integers(0, 256, (6, 5, 3), dtype=np.uint8)
                stream = io.BytesIO()
                Image.fromarray(small).resize((40, 48), Image.Resampling.NEAREST).save(stream, "JPEG", quality=90)
                images.append(stream.getvalue())
            ids = [f"item-{number:09d}" for number in part]
            writer.write_table(pa.table({"item_id": ids, "image": pa.array(images, pa.binary())}, schema=schema))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs=2, default=[10_000, 100_000], help="items in the indices before")
    parser.add_argument("--items", type=int, default=1_000, help="of an increment")
    parser.add_argument("--increments", type=int, default=48)
    parser.add_argument("--attributes", type=int, default=4)
    parser.add_argument("--folder", help="where to write; default: the system's temporary folder")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
