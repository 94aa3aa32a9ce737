"""The rates and sizes that docs/capacity.md reckons with, as this machine has them.

    python -m benchmarks.capacity                      # 8 attributes, 1024-d, 50,000 items: minutes, 4 GB of disk
    python -m benchmarks.capacity --items 5000

Random vectors are written and committed as an ingestion does, and fragments merged at the end; sizes are those of the
files of the last version. Building an index and search are of the table of one attribute.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lance
import numpy as np

from benchmarks.ratio import seconds
from benchmarks.writing import checkpoint_of, draw_chunks
from pipelines.index.committer import Committer
from pipelines.index.datasets import write_tables
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS, attribute_table, class_table
from pipelines.index.receipt import Receipt
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from pipelines.index.upkeep import UpkeepSettings, maintain
from pipelines.index.vector_index import VectorIndexSettings, nearest, train


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    checkpoint = checkpoint_of(options.attributes, options.backbone)
    taxonomy, encoder = checkpoint.taxonomy, checkpoint.encoder
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        index = Index.create(Path(folder) / "index")
        rows: defaultdict[str, int] = defaultdict(int)
        writing, commits = 0.0, []
        with Lease(index.uri) as lease:
            committer = Committer(index, index.create_generation(checkpoint, "/none"), lease)
            sequence = 0
            for start in range(0, options.items, options.group):
                drawn = draw_chunks(
                    taxonomy, encoder.width, range(start, min(start + options.group, options.items)), options.chunk
                )
                receipts = []
                for chunk in drawn:
                    sequence += 1
                    began = time.perf_counter()
                    fragments = write_tables(committer.datasets, chunk)
                    writing += time.perf_counter() - began
                    receipts.append(Receipt(sequence, tuple(chunk[ITEMS]["item_id"].to_pylist()), (), fragments))
                    for table, part in chunk.items():
                        rows[table] += len(part)
                commits.append(seconds(partial(committer.commit, receipts)))
            maintain(committer, UpkeepSettings(vector=VectorIndexSettings(rows=2**60)))
            generation = committer.generation.name
        total = sum(rows.values())
        print(f"{options.items:,} items, {options.attributes} attributes, {encoder.width}-d: {total:,} rows")
        print(f"writing fragments    {total / writing:,.0f} rows/s, one process")
        print(f"a commit             {statistics.median(commits):.2f} s (median) of {options.group:,} items")
        name = taxonomy.names[0]
        tables = {"attribute table": attribute_table(name), "class table": class_table(name), ITEMS: ITEMS}
        for what, table in tables.items():
            size = _data_bytes(index.dataset(table, generation), Path(index.table_uri(table, generation)))
            print(f"{what:20} {size / rows[table]:,.0f} bytes/row, {rows[table]:,} rows")
        _measure_index(index, generation, attribute_table(taxonomy.names[0]), options.queries)
    return 0


def _measure_index(index: Index, generation: str, table: str, queries: int) -> None:
    dataset = index.dataset(table, generation)
    count = dataset.count_rows()
    folder = Path(index.table_uri(table, generation)) / "_indices"
    before = set(folder.rglob("*"))
    built = seconds(lambda: train(dataset, VectorIndexSettings()))
    dataset = index.dataset(table, generation)
    size = sum(file.stat().st_size for file in set(folder.rglob("*")) - before if file.is_file())
    print(f"vector index         {built:.1f} s for {count:,} rows, {size / count:.0f} bytes/row")
    some = dataset.to_table(columns=["embedding"], filter=LIVE, limit=queries)["embedding"].to_pylist()
    vectors = [np.asarray(row, np.float32) for row in some]
    for what, exact in (("by the index", False), ("by a scan", True)):
        times = [seconds(partial(nearest, dataset, one, 100, where=LIVE, exact=exact)) for one in vectors]
        print(f"100 nearest          {1000 * statistics.median(times):.1f} ms {what} (median)")


def _data_bytes(dataset: lance.LanceDataset, folder: Path) -> int:
    files = [file.path for fragment in dataset.get_fragments() for file in fragment.data_files()]
    return sum((folder / "data" / file).stat().st_size for file in files)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--attributes", type=int, default=8)
    parser.add_argument("--backbone", default="resnet50", help="resnet50 has embeddings of 1024 numbers")
    parser.add_argument("--chunk", type=int, default=256, help="items that a worker writes at once")
    parser.add_argument("--group", type=int, default=512, help="items that are committed together")
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--folder", help="where to write; default: the system's temporary folder")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
