"""Thousands of small increments: do fragments, versions and query latency stay near those of a freshly built index?

    python -m benchmarks.increments                       # 2,000 increments into 20,000 items: minutes
    python -m benchmarks.increments --increments 20000    # as long as that takes: it says how far it is

Each increment changes three items, adds one and deletes one, is committed and published, with the default upkeep and
gate, as `duet ingest` does; snapshots are retired at once (`--minutes`: by default they stay for an hour). Vectors
are random. In the end another index gets the same items at once. Queries are the 100 nearest of a table, alone and
among one class, in the two indices in turn. The claim: fragments, versions on disk and latency within 2x.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.ratio import seconds
from model.taxonomy import Taxonomy
from pipelines.index.committer import Committer
from pipelines.index.datasets import write_tables
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS, attribute_table, class_table
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.receipt import Receipt
from pipelines.index.retention import RetentionSettings
from pipelines.index.schema import LIVE, is_one_of
from pipelines.index.store import Index
from pipelines.index.vector_index import nearest
from pipelines.ingest.rows import Encoded, embedding_rows

from .writing import checkpoint_of, ledger_rows

_CLASSES = 8
_GROUP = 1_000  # items of a receipt when the whole is written at once


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    checkpoint = checkpoint_of(options.attributes, "resnet18", _CLASSES)  # 256-d
    taxonomy, encoder = checkpoint.taxonomy, checkpoint.encoder
    dice = np.random.default_rng(0)
    settings = PublishSettings(retention=RetentionSettings(minutes=options.minutes))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        changed, fresh = Index.create(Path(folder) / "changed"), Index.create(Path(folder) / "fresh")
        state = {f"i{number:08d}": number for number in range(options.items)}  # item -> seed of its vectors
        with Lease(changed.uri) as lease:
            committer = Committer(changed, changed.create_generation(checkpoint, "/none"), lease)
            _write(committer, taxonomy, encoder.width, state)
            publish(committer)
            began = line = time.monotonic()
            for step in range(options.increments):
                known = list(state)
                some = [known[place] for place in dice.choice(len(known), 4, replace=False)]
                upserts = {item_id: options.items + 10 * step + n for n, item_id in enumerate(some[:3])}
                upserts[f"n{step:08d}"] = options.items + 10 * step + 9
                del state[some[3]]
                state |= upserts
                committer.commit([_receipt(committer, taxonomy, encoder.width, upserts, gone=[some[3]])])
                publish(committer, settings=settings)
                if time.monotonic() - line > 30:
                    line = time.monotonic()
                    rate = (step + 1) / (line - began)
                    print(f"  {step + 1:,} increments, {1000 / rate:.0f} ms each; {_shape(changed)}", flush=True)
            each = (time.monotonic() - began) / max(1, options.increments)
        with Lease(fresh.uri) as lease:
            committer = Committer(fresh, fresh.create_generation(checkpoint, "/none"), lease)
            _write(committer, taxonomy, encoder.width, state)
            publish(committer)
        print(f"{options.increments:,} increments of 5 items into {options.items:,}: {1000 * each:.0f} ms each")
        print(f"changed   {_shape(changed)}")
        print(f"fresh     {_shape(fresh)}")
        _latencies(changed, fresh, taxonomy, encoder.width, options.queries)
    return 0


def _write(committer: Committer, taxonomy: Taxonomy, width: int, state: dict[str, int]) -> None:
    ids = sorted(state)
    for start in range(0, len(ids), _GROUP):
        part = {item_id: state[item_id] for item_id in ids[start : start + _GROUP]}
        committer.commit([_receipt(committer, taxonomy, width, part)])


def _receipt(
    committer: Committer, taxonomy: Taxonomy, width: int, upserts: dict[str, int], gone: Sequence[str] = ()
) -> Receipt:
    """Items around the means of their classes, which their seeds choose."""
    count, attributes = len(upserts), len(taxonomy.attributes)
    means = np.random.default_rng(1).standard_normal((attributes, _CLASSES, width), np.float32)
    vectors = np.empty((count, attributes, width), np.float32)
    chosen = np.empty((count, attributes), np.int64)
    for row, seed in enumerate(upserts.values()):
        dice = np.random.default_rng((2, seed))
        chosen[row] = dice.integers(0, _CLASSES, attributes)
        noise = dice.standard_normal((attributes, width), np.float32)
        vectors[row] = means[np.arange(attributes), chosen[row]] + noise
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    item = np.repeat(np.arange(count), attributes)
    class_index = (chosen + np.asarray(taxonomy.offsets[:-1])).reshape(-1)
    probabilities = np.full((count, taxonomy.class_count), 0.9, np.float32)
    encoded = Encoded(vectors, probabilities, item, class_index, vectors.reshape(-1, width), None)
    tables = {**embedding_rows(encoded, list(upserts), taxonomy), ITEMS: ledger_rows(list(upserts), taxonomy)}
    fragments = write_tables(committer.datasets, tables)
    return Receipt(committer.sequence + 1, (*upserts, *gone), (), fragments)


def _shape(index: Index) -> str:
    """Fragments and versions of the table that has most."""
    (generation,) = index.generations()
    datasets = [index.dataset(table, generation.name) for table in generation.committed_tables]
    fragments = max(len(dataset.get_fragments()) for dataset in datasets)
    versions = max(len(dataset.versions()) for dataset in datasets)
    size = sum(file.stat().st_size for file in Path(index.uri).rglob("*") if file.is_file())
    return f"fragments {fragments}, versions {versions}, {size / 1e6:,.0f} MB"


def _latencies(changed: Index, fresh: Index, taxonomy: Taxonomy, width: int, queries: int) -> None:
    name = taxonomy.names[0]
    one_class = LIVE & is_one_of("class", [taxonomy.attributes[0].classes[0]])
    for what, table, where in (
        ("100 nearest", attribute_table(name), LIVE),
        ("of one class", class_table(name), one_class),
    ):
        readers = []
        for index in (changed, fresh):
            snapshot = index.latest()
            assert snapshot is not None
            readers.append(index.reader(snapshot).dataset(table))
        dice = np.random.default_rng(3)
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(queries + 5):
            query = dice.standard_normal(width).astype(np.float32)
            for own, dataset in zip(times, readers, strict=True):
                took = seconds(partial(nearest, dataset, query, 100, where=where))
                if number >= 5:  # until then files are opened
                    own.append(took)
        old, new = (statistics.median(own) for own in times)
        print(f"{what:13} changed {1000 * old:6.1f} ms, fresh {1000 * new:6.1f} ms (medians); ratio {old / new:.2f}")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000, help="in the index before")
    parser.add_argument("--increments", type=int, default=2_000)
    parser.add_argument("--attributes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=0, help="that snapshots stay after they are superseded")
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--folder", help="where to write; default: the system's temporary folder")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
