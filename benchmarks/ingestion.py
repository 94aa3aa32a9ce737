"""Ingestion against its limit: the encoder alone on tensors that are decoded already.

    python -m benchmarks.ingestion                     # about a minute on two cores
    python -m benchmarks.ingestion --items 2000 --backbone resnet18 --rounds 3
    python -m benchmarks.ingestion --manifest shop.parquet --checkpoint runs/best

Both run in this one call, on the same pictures, with the same batch and the same threads; the encoder alone runs before
and after each ingestion, since a machine's speed drifts. The claim is a ratio of at least 0.90. The rate of the
ingestion is from the first chunk to the last commit: starting Ray and the worker is no part of it.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from benchmarks.ratio import spread
from cluster.runtime import runtime
from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.duet import encode
from model.encoder import EncoderConfig
from model.preparation import ImagePreparation
from model.systems.m3net import M3Net
from model.taxonomy import Attribute, Taxonomy
from pipelines.data.images import prepare
from pipelines.data.manifest import Manifest, row_image
from pipelines.index.store import Index
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.summary import IngestSummary


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    threads = options.threads or os.cpu_count() or 1
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        manifest = options.manifest or draw_catalogue(
            Path(folder) / "catalogue.parquet", options.items, options.width, options.height
        )
        checkpoint = options.checkpoint or make_checkpoint(Path(folder) / "checkpoint", options)
        loaded = load_checkpoint(checkpoint)
        images = read_images(manifest, options.roots, options.items)
        began = time.perf_counter()
        tensors = np.stack([prepare(image, loaded.preparation) for image in images])
        decode_rate = len(images) / (time.perf_counter() - began)
        rates: list[tuple[float, float]] = []
        with runtime():
            before = encoder_rate(loaded, tensors, options.batch)
            for number in range(options.rounds):
                index = Path(folder) / f"index-{number}"
                summary = ingest(manifest, checkpoint, index, options, threads)
                after = encoder_rate(loaded, tensors, options.batch)
                rates.append(((before + after) / 2, summary.items_per_second))
                before = after
    kilobytes = sum(map(len, images)) / len(images) / 1000
    print(f"pictures             {len(images)} for the encoder, {summary.new} ingested; {kilobytes:.0f} kB each")
    print(f"encoder              {_name(loaded)}, {threads} threads, batches of {options.batch}")
    print(f"decode, one thread   {decode_rate:8.1f} items/s")
    print(f"encoder alone        {statistics.median(alone for alone, _ in rates):8.1f} items/s")
    print(
        f"ingestion            {statistics.median(rate for _, rate in rates):8.1f} items/s (one actor, index included)"
    )
    for stage, seconds in summary.seconds.items():
        print(f"  {stage:18} {seconds:8.1f} s")
    print(f"ratio                {spread([rate / alone for alone, rate in rates])}; claimed: at least 0.90")
    return 0


def ingest(
    manifest: str | Path, checkpoint: str | Path, index: Path, options: argparse.Namespace, threads: int
) -> IngestSummary:
    """Index the pictures into a new index, and see that it has them all."""
    summary = run_ingest(
        IngestSettings(
            manifest=[str(manifest)],
            roots=options.roots,
            checkpoint=str(checkpoint),
            index=str(index),
            batch=options.batch,
            chunk=options.chunk,
            threads=threads,
        )
    )
    snapshot = Index.open(index).latest()
    assert snapshot is not None and snapshot.items == summary.new
    return summary


def encoder_rate(checkpoint: Checkpoint, tensors: np.ndarray, batch: int) -> float:
    """Items per second of the encoder, and nothing else."""
    parts = torch.from_numpy(tensors).permute(0, 3, 1, 2).split(batch)
    encode(checkpoint.encoder, parts[0])  # the first pass allocates
    began = time.perf_counter()
    for part in parts:
        encode(checkpoint.encoder, part)
    return len(tensors) / (time.perf_counter() - began)


def read_images(manifest: str | Path, roots: Sequence[str], limit: int) -> list[bytes]:
    """The first encoded pictures of a manifest."""
    opened = Manifest.open([str(manifest)], roots=roots)
    images: list[bytes] = []
    for batch in opened.batches(256):
        images += [row_image(row, opened.roots) for row in batch.to_pylist()[: limit - len(images)]]
        if len(images) == limit:
            break
    return images


def draw_catalogue(path: Path, items: int, width: int, height: int) -> Path:
    """Pictures as large as a shop's: smooth shapes under a little noise, as JPEG."""
    dice = np.random.default_rng(0)
    images = []
    for _ in range(items):
        small = Image.fromarray(dice.integers(0, 256, (12, 9, 3), dtype=np.uint8))
        large = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.int16)
        noisy = np.clip(large + dice.integers(-12, 13, large.shape), 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(noisy).save(stream, "JPEG", quality=85)
        images.append(stream.getvalue())
    ids = [f"{number:08d}" for number in range(items)]
    pq.write_table(pa.table({"item_id": ids, "image": pa.array(images, pa.binary())}), path, row_group_size=256)
    return path


def make_checkpoint(folder: Path, options: argparse.Namespace) -> Path:
    """An untrained encoder of FashionAI's size: 8 attributes, 54 classes."""
    taxonomy = Taxonomy(
        tuple(
            Attribute(f"attribute {n}", tuple(f"class {m}" for m in range(size)))
            for n, size in enumerate((6, 5, 10, 5, 6, 6, 9, 7))
        )
    )
    torch.manual_seed(0)
    encoder = M3Net(EncoderConfig(backbone=options.backbone), taxonomy).eval()
    save_checkpoint(folder, encoder, ImagePreparation(options.size, options.size))
    return folder


def _name(checkpoint: Checkpoint) -> str:
    config, preparation = checkpoint.encoder.config, checkpoint.preparation
    count = len(checkpoint.taxonomy.attributes)
    return f"{config.system} on {config.backbone}, {preparation.height}x{preparation.width} pixels, {count} attributes"


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=192, help="pictures (with --manifest: for the encoder alone)")
    parser.add_argument("--size", type=int, default=224, help="side of the encoder's input, pixels")
    parser.add_argument("--width", type=int, default=600, help="of the drawn pictures, pixels")
    parser.add_argument("--height", type=int, default=800, help="of the drawn pictures, pixels")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=64, help="items per chunk; the first is left out of the rate")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0 = all cores")
    parser.add_argument("--manifest", help="pictures to use instead of drawn ones")
    parser.add_argument("--roots", nargs="*", default=[], help="where the manifest's pictures lie")
    parser.add_argument("--checkpoint", help="encoder to use instead of an untrained one")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
