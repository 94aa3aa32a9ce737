"""Index writing alone, vectors given: Duet's committed receipts against plain LanceDB and against Ray Data.

    python -m benchmarks.writing                       # 8 attributes, 1024-d, 4,000 items
    python -m benchmarks.writing --items 20000 --rounds 3

All write the same Arrow tables: a row per item and attribute, a row per predicted class, and the ledger; the tables are
made before. Duet writes fragments a chunk at a time and commits them in groups, every table, with the old rows of these
ids taken out; here in one process, one after the other, while in ingestion workers write and the driver commits. Plain
LanceDB adds the same groups to the same tables (``Table.add``), which neither replaces nor agrees between tables. Ray
Data is the stock way to fill a Lance table from a pipeline, a table after the other: by ``Dataset.write_lance``, and by
``write_lance`` of lance-ray, if it is installed (`benchmarks.peers`). The claims: at
least 0.8 of plain LanceDB in bytes a second, and faster than Ray Data.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import torch

from benchmarks.duet import taxonomy_of
from benchmarks.peers import peer
from benchmarks.ratio import compare, seconds, spread
from cluster.runtime import RaySettings, runtime
from model.checkpoint import Checkpoint
from model.encoder import EncoderConfig
from model.preparation import ImagePreparation
from model.systems.m3net import M3Net
from model.taxonomy import Taxonomy
from pipelines.index.committer import Committer
from pipelines.index.datasets import write_tables
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS
from pipelines.index.receipt import Receipt
from pipelines.index.schema import items_schema
from pipelines.index.store import Index
from pipelines.ingest.rows import Encoded, embedding_rows

Chunk = dict[str, pa.Table]


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    checkpoint = checkpoint_of(options.attributes, options.backbone)
    taxonomy, encoder = checkpoint.taxonomy, checkpoint.encoder
    chunks = draw_chunks(taxonomy, encoder.width, range(options.items), options.chunk)
    size = sum(table.nbytes for chunk in chunks for table in chunk.values())
    rows = sum(len(table) for chunk in chunks for table in chunk.values())
    per_group = max(1, options.group // (options.chunk * options.attributes * 2))
    groups = [chunks[start : start + per_group] for start in range(0, len(chunks), per_group)]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        place = Path(folder)
        ours, plain, ratios = compare(
            lambda: write_ours(_empty(place / "ours"), checkpoint, groups),
            lambda: write_plain(_empty(place / "plain"), groups),
            options.rounds,
        )
        print(f"{options.items:,} items, {options.attributes} attributes, {encoder.width}-d: {rows:,} rows,", end=" ")
        print(f"{size / 1e6:,.0f} MB; chunks of {options.chunk} items, {per_group} chunks a commit")
        print(f"Duet             {rows / ours:10,.0f} rows/s {size / ours / 1e6:8.0f} MB/s")
        print(f"plain LanceDB    {rows / plain:10,.0f} rows/s {size / plain / 1e6:8.0f} MB/s")
        print(f"ratio Duet / plain LanceDB: {spread(ratios)}; claimed: at least 0.8")
        if options.ray:
            _against_ray(place, checkpoint, groups, options.rounds, size)
    return 0


def checkpoint_of(attributes: int, backbone: str, classes: int = 8) -> Checkpoint:
    """An untrained encoder, for its taxonomy and its width."""
    torch.manual_seed(0)
    encoder = M3Net(EncoderConfig(backbone=backbone), taxonomy_of(attributes, classes)).eval()
    return Checkpoint(encoder, ImagePreparation(32, 32), None, None, {}, "0" * 64)


def write_ours(folder: Path, checkpoint: Checkpoint, groups: Sequence[Sequence[Chunk]]) -> None:
    """Fragments a chunk, a commit of all tables a group."""
    index = Index.create(folder)
    with Lease(index.uri) as lease:
        committer = Committer(index, index.create_generation(checkpoint, "/none"), lease)
        datasets, sequence = committer.datasets, 0
        for group in groups:
            receipts = []
            for chunk in group:
                sequence += 1
                fragments = write_tables(datasets, chunk)
                receipts.append(Receipt(sequence, tuple(chunk[ITEMS]["item_id"].to_pylist()), (), fragments))
            committer.commit(receipts)


def write_plain(folder: Path, groups: Sequence[Sequence[Chunk]]) -> None:
    """A table for each of Duet's, and an append a group and table."""
    database = lancedb.connect(str(folder))
    tables = {name: database.create_table(name, schema=rows.schema) for name, rows in groups[0][0].items()}
    for group in groups:
        for name, table in tables.items():
            table.add(pa.concat_tables([chunk[name] for chunk in group]))


def write_ray(write: Callable[[Any, str], None], folder: Path, groups: Sequence[Sequence[Chunk]]) -> None:
    """A data set for each of Duet's tables, blocks as large as our chunks, written by Ray's tasks."""
    import ray

    for name in groups[0][0]:
        blocks = [chunk[name] for group in groups for chunk in group]
        write(ray.data.from_arrow(blocks), str(folder / f"{name}.lance"))


def _stock_ways() -> dict[str, Callable[[Any, str], None]]:
    """Writers of a data set of Ray's to a place."""
    ways: dict[str, Callable[[Any, str], None]] = {"Ray Data": lambda rows, uri: rows.write_lance(uri, mode="create")}
    if lance_ray := peer("lance_ray"):
        ways["lance-ray"] = lance_ray.write_lance
    return ways


def draw_chunks(taxonomy: Taxonomy, width: int, items: range, size: int) -> list[Chunk]:
    """The rows of random duets: for each attribute a class, and for a fifth of them another one."""
    dice = np.random.default_rng(items.start)
    offsets = np.asarray(taxonomy.offsets[:-1])
    chunks = []
    for start in items[::size]:
        count = min(size, items.stop - start)
        predicted = np.zeros((count, taxonomy.class_count), bool)
        for _ in range(2):
            chosen = offsets + dice.integers(0, 8, (count, len(offsets)))
            keep = dice.random(chosen.shape) < (0.2 if predicted.any() else 1.0)
            predicted[np.nonzero(keep)[0], chosen[keep]] = True
        item, class_index = np.nonzero(predicted)
        encoded = Encoded(
            _vectors(dice, count, len(offsets), width),
            dice.random(predicted.shape, np.float32),
            item,
            class_index,
            _vectors(dice, len(item), width),
            None,
        )
        ids = [f"item-{number:09d}" for number in range(start, start + count)]
        chunks.append({**embedding_rows(encoded, ids, taxonomy), ITEMS: ledger_rows(ids, taxonomy)})
    return chunks


def ledger_rows(ids: Sequence[str], taxonomy: Taxonomy) -> pa.Table:
    """Rows of ``items`` without pictures or labels."""
    hashes = [(hashlib.sha256(i.encode()).hexdigest(), hashlib.sha256(i[::-1].encode()).hexdigest()) for i in ids]
    rows = [{"item_id": i, "image_hash": a, "row_hash": b} for i, (a, b) in zip(ids, hashes, strict=True)]
    return pa.Table.from_pylist(rows, schema=items_schema(taxonomy, ()))


def _vectors(dice: np.random.Generator, *shape: int) -> np.ndarray:
    values = dice.standard_normal(shape, np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def _against_ray(
    place: Path, checkpoint: Checkpoint, groups: Sequence[Sequence[Chunk]], rounds: int, size: int
) -> None:
    with runtime(RaySettings(object_store_mb=2000)):
        for name, way in _stock_ways().items():
            write = functools.partial(write_ray, way, place / "ray", groups)
            try:
                _empty(place / "ray")
                write()
            except Exception as error:  # noqa: BLE001  # whatever the stock way fails with is the result
                reason = str(error).splitlines()[0][:200]
                print(f"write_lance of {name} does not run here: {type(error).__name__}: {reason}")
                continue
            times = []
            for _ in range(rounds):
                _empty(place / "ours")
                ours = seconds(lambda: write_ours(place / "ours", checkpoint, groups))
                _empty(place / "ray")
                times.append((ours, seconds(write)))
            print(f"{name:16} {'':17} {size / times[-1][1] / 1e6:8.0f} MB/s")
            print(f"ratio Duet / {name}: {spread([theirs / ours for ours, theirs in times])}; claimed: more than 1")


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=4_000)
    parser.add_argument("--attributes", type=int, default=8)
    parser.add_argument(
        "--backbone", default="resnet50", help="resnet50 has embeddings of 1024 numbers, resnet18 of 256"
    )
    parser.add_argument("--chunk", type=int, default=256, help="items that a worker writes at once")
    parser.add_argument("--group", type=int, default=10_000, help="vectors that are committed together")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-ray", dest="ray", action="store_false", help="leave out Ray Data")
    parser.add_argument("--folder", help="where to write; default: the system's temporary folder")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
