"""The process is killed at any time and the same command run again: nothing is lost, nothing comes twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from pipelines.errors import StoreError
from pipelines.index.naming import ITEMS
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings

from .kill_loop import run
from .support import Entry, Oracle, catalogue, orphans, write_manifest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session")]

# Kills itself with SIGKILL before or after its n-th commit of a table.
DRIVER = """
import os, signal, sys, threading
import lance
from pipelines.ingest.__main__ import main

left, after = int(sys.argv[1]), sys.argv[2] == "after"
commit, lock = lance.LanceDataset.commit, threading.Lock()  # tables are committed beside each other

def deadly(base, operation, **options):
    global left
    if "lease" in base.uri:
        return commit(base, operation, **options)
    with lock:
        left -= 1
        mine = left
    if mine == 0 and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    result = commit(base, operation, **options)
    if mine == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

lance.LanceDataset.commit = staticmethod(deadly)
raise SystemExit(main(sys.argv[3:]))
"""


def committed(uri: Path) -> int:
    """How many items the newest version of the ledger has; a killed process left it."""
    try:
        index = Index.open(uri)
        generations = index.generations()
    except StoreError:
        return 0
    if not generations:
        return 0
    return index.dataset(ITEMS, generations[0].name).to_table(columns=["item_id"], filter=LIVE).num_rows


def test_the_driver_is_killed_at_random_commits(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    dice = random.Random(1)
    uri = tmp_path / "index"
    old = catalogue(40)
    settings = IngestSettings(
        manifest=[write_manifest(tmp_path / "old.parquet", old)],
        index=str(uri),
        checkpoint=str(checkpoint),
        chunk=8,
        batch=8,
        threads=1,
        commit_vectors=1,
        publish_commits=2,
    )
    run_ingest(settings)
    oracle.check(Index.open(uri), old)
    wanted = old | catalogue(60, start=30) | {f"item '{n}'": Entry(200 + n, (), n) for n in range(10)}
    path = write_manifest(tmp_path / "new.parquet", wanted)
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    arguments = ["--manifest", path, "--index", str(uri), "--checkpoint", str(checkpoint)]
    arguments += ["--chunk", "8", "--batch", "8", "--threads", "1", "--commit-vectors", "1", "--publish-commits", "2"]
    arguments += ["--inline-rows", "0"]
    for _ in range(3):
        before = Index.open(uri).latest()
        fault = [str(dice.randint(1, 7 * 4)), dice.choice(("before", "after"))]
        done = subprocess.run([sys.executable, "-c", DRIVER, *fault, *arguments], env=environment, capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        latest = Index.open(uri).latest()
        assert before is not None and latest is not None and latest.items >= before.items
        assert Index.open(uri).reader(latest).items().num_rows == latest.items, "a snapshot is always whole"
    kept = committed(uri)
    assert orphans(uri), "killed runs leave files behind"
    summary = run_ingest(settings.model_copy(update={"manifest": [path]}))
    assert summary.unchanged + summary.new + summary.changed == len(wanted)
    assert summary.new == len(wanted) - kept, "what was committed was not encoded again"
    oracle.check(Index.open(uri), wanted)
    assert not orphans(uri)


def test_a_worker_is_killed(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    wanted = catalogue(120)
    uri = tmp_path / "index"
    settings = IngestSettings(
        manifest=[write_manifest(tmp_path / "m.parquet", wanted)],
        index=str(uri),
        checkpoint=str(checkpoint),
        chunk=4,
        batch=4,
        threads=1,
        commit_vectors=1,
        inline_rows=0,
    )
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and committed(uri) < 8:
            time.sleep(0.05)
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    summary = run_ingest(settings)
    killer.join()
    assert killed, "it was too fast to be killed"
    assert (summary.new, summary.refused) == (120, 0)
    oracle.check(Index.open(uri), wanted)


def test_rounds_of_changes_that_are_killed(tmp_path: Path) -> None:
    """Few here; `python -m tests.pipelines.ingest.kill_loop` has as many as one likes."""
    assert run(rounds=3, seed=1, folder=tmp_path, ray_share=0)["driver"] > 0


def workers() -> Iterator[int]:
    """Encoding workers of this test's own Ray: children of its raylet that say that they are."""
    raylet = ray._private.worker.global_worker.node.all_processes["raylet"][0].process.pid
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            title = (path / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if parent == raylet and b"EncodeWorker" in title:
            yield int(path.name)
