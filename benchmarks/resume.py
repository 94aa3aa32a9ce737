"""An ingestion that is killed half way and run again: how often does the encoder embed a picture in all?

    python -m benchmarks.resume                        # 6,000 pictures: minutes
    python -m benchmarks.resume --items 20000 --backbone resnet18

All settings are `duet ingest`'s own. The first run is killed with SIGKILL, workers and all, as soon as half of the
pictures are embedded; what had been committed by then is kept, and what had not is embedded again. Counted are the
rows of the files that its workers had written, committed or not, besides a whole chunk for the one that was being
embedded. The claim: at most 1.1 embeddings a picture.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from lance.file import LanceFileReader

from pipelines.errors import StoreError
from pipelines.index.naming import attribute_table
from pipelines.index.store import Index
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings

from .ingestion import draw_catalogue, make_checkpoint


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        settings = IngestSettings(
            manifest=[str(draw_catalogue(folder / "catalogue.parquet", options.items, 300, 400))],
            checkpoint=str(make_checkpoint(folder / "checkpoint", options)),
            index=str(folder / "index"),
        )
        embedded = _kill_half_way(settings, options.items)
        summary = run_ingest(settings)
        assert summary.new + summary.unchanged == options.items, summary
    total = embedded + settings.chunk + summary.new
    print(f"embedded when it was killed   {embedded:7,}, at most {settings.chunk} more were being embedded")
    print(f"committed by then             {summary.unchanged:7,}")
    print(f"embedded by the second run    {summary.new:7,}")
    print(f"ratio                         {total / options.items:7.3f} of one pass; claimed: at most 1.1")
    return 0


def _kill_half_way(settings: IngestSettings, items: int) -> int:
    """Pictures that a run had embedded and written when it was killed."""
    command = [sys.executable, "-m", "pipelines.ingest", "--manifest", *settings.manifest, "--index", settings.index]
    with subprocess.Popen([*command, "--checkpoint", str(settings.checkpoint)], stdout=subprocess.DEVNULL) as run:
        try:
            while (written := _written(settings.index)) < items / 2:
                assert run.poll() is None, "it ended before it was killed"
                time.sleep(0.1)
        finally:
            with suppress(psutil.NoSuchProcess):  # it has ended, which is said above
                process = psutil.Process(run.pid)
                for one in (process, *process.children(recursive=True)):
                    one.kill()
    return max(written, _written(settings.index))


def _written(uri: str) -> int:
    """Rows of one attribute's table, in files of any version or none."""
    try:
        index = Index.open(uri)
        (generation,) = index.generations()
    except (StoreError, ValueError):
        return 0  # not begun yet
    table = attribute_table(generation.taxonomy.names[0])
    rows = 0
    for file in (Path(index.table_uri(table, generation.name)) / "data").glob("*.lance"):
        try:
            rows += LanceFileReader(str(file)).num_rows()
        except (OSError, ValueError):  # it is still being written
            continue
    return rows


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=6_000)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=224, help="side of the encoder's input, pixels")
    parser.add_argument("--folder", help="where to write; default: the system's temporary folder")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
