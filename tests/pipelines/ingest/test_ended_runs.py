"""Runs that an error ends: what the user is told, and what becomes of the files that were written and not committed."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pytest

from pipelines.errors import BusyError
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.store import Index
from pipelines.index.switch import retire_generation
from pipelines.ingest import driver, stream
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.encode import EncodePlan
from pipelines.ingest.settings import IngestSettings
from pipelines.ingest.summary import IngestSummary
from pipelines.ingest.targets import Target

from .support import Entry, Oracle, catalogue, orphans, write_checkpoint, write_manifest

# A disk on which no file can be larger than 16 KiB.
SMALL_DISK = """
import resource, sys
from pipelines.ingest.__main__ import main
import pipelines.ingest.driver
resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, 2**14))
raise SystemExit(main(sys.argv[1:]))
"""


def ingest(index: Path, manifest: str, checkpoint: Path | None = None, **options: object) -> IngestSummary:
    values = {"threads": 1, "checkpoint": None if checkpoint is None else str(checkpoint), **options}
    return run_ingest(IngestSettings.model_validate({"manifest": [manifest], "index": str(index), **values}))


def test_the_next_ingestion_removes_what_was_not_committed(
    tmp_path: Path, checkpoint: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, wanted = tmp_path / "index", catalogue(5)
    ingest(index, write_manifest(tmp_path / "first.parquet", wanted), checkpoint)
    wanted |= catalogue(5, start=5)
    path = write_manifest(tmp_path / "second.parquet", wanted)

    def commit(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Committer, "commit", commit)
        with pytest.raises(OSError, match="No space left"):
            ingest(index, path)
    gone = write_manifest(tmp_path / "gone.parquet", {"item '1'": Entry()})
    ingest(index, gone, delete=True)
    assert orphans(index), "a deletion looks for none"
    ingest(index, path)
    assert not orphans(index)
    oracle.check(Index.open(index), wanted)


def test_generations_that_come_or_go_while_a_run_begins(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, path = tmp_path / "index", write_manifest(tmp_path / "m.parquet", catalogue(4))
    ingest(uri, path, checkpoint)
    other = write_checkpoint(tmp_path / "other", seed=1)
    index, more = Index.open(uri), write_manifest(tmp_path / "more.parquet", catalogue(2, start=4))
    begun = ingest(uri, path, other, generation="new").generation
    choose = driver.choose_targets

    def overtaken(settings: IngestSettings) -> list[Target]:
        chosen = choose(settings)
        with Lease(index.uri) as lease:
            retire_generation(index, lease, begun)
        return chosen

    with monkeypatch.context() as patch:
        patch.setattr(driver, "choose_targets", overtaken)
        with pytest.raises(BusyError, match="came or went while this began; run this command again"):
            ingest(uri, more)
    assert begun not in [generation.name for generation in index.generations()]
    done = ingest(uri, more)
    assert (done.new, done.beside) == (2, ())


def test_a_full_disk_is_one_line_and_the_same_run_goes_on_when_there_is_room(
    tmp_path: Path, checkpoint: Path, oracle: Oracle
) -> None:
    index, path = tmp_path / "index", write_manifest(tmp_path / "m.parquet", catalogue(40))
    arguments = ["--manifest", path, "--index", str(index), "--checkpoint", str(checkpoint), "--threads", "1"]
    done = subprocess.run([sys.executable, "-c", SMALL_DISK, *arguments], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    why = f"LanceError(IO): File too large (os error 27); the index {index} was being written"
    assert done.stderr == f"duet ingest: cannot be read or written: {why}\n"
    ingest(index, path, checkpoint)
    assert not orphans(index)
    oracle.check(Index.open(index), catalogue(40))


def test_a_full_disk_of_a_worker_is_told_as_such(
    tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, ray_session: None
) -> None:
    class Full:
        def __init__(self, plan: EncodePlan) -> None:
            pass

        def __call__(self, packed: pa.Table) -> pa.Table:
            raise OSError("LanceError(IO): No space left on device (os error 28)")

    monkeypatch.setattr(stream, "EncodeWorker", Full)
    path = write_manifest(tmp_path / "m.parquet", catalogue(3))
    with pytest.raises(OSError, match="LanceError") as raised:
        ingest(tmp_path / "index", path, checkpoint, inline_rows=0)
    assert str(raised.value) == "LanceError(IO): No space left on device (os error 28)"
