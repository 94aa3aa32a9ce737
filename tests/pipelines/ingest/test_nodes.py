"""Ingestion over several Ray nodes: a node or a driver that is killed costs its own work only."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.index.store import Index
from tests.nodes import Nodes, ray_nodes, wait_for

from .support import Oracle, catalogue, write_manifest
from .test_kill import committed

pytestmark = pytest.mark.slow

ITEMS = 240


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Two nodes with two CPUs each."""
    with ray_nodes([2, 2]) as nodes:
        yield nodes


def ingest(folder: Path, checkpoint: Path, nodes: Nodes, *more: str) -> subprocess.Popen[str]:
    manifest = write_manifest(folder / "m.parquet", catalogue(ITEMS))
    arguments = ["--manifest", manifest, "--index", str(folder / "index"), "--checkpoint", str(checkpoint)]
    arguments += ["--chunk", "4", "--batch", "4", "--threads", "1", "--commit-vectors", "1", "--actors", "2"]
    return nodes.start("pipelines.ingest", [*arguments, "--inline-rows", "0", *more])


@pytest.mark.parametrize(("number", "more"), [(0, ["--separate-decode"]), (1, [])])
def test_a_node_is_killed(
    nodes: Nodes, tmp_path: Path, checkpoint: Path, oracle: Oracle, number: int, more: list[str]
) -> None:
    uri = tmp_path / "index"
    run = ingest(tmp_path, checkpoint, nodes, *more)
    wait_for(run, lambda: committed(uri) >= 8 and all(nodes.processes(node, "EncodeWorker") for node in nodes.workers))
    nodes.kill(nodes.workers[number])
    assert committed(uri) < ITEMS, "the node was killed too late to show anything"
    _, errors = run.communicate(timeout=180)
    assert run.returncode == 0, errors
    oracle.check(Index.open(uri), catalogue(ITEMS))


def test_a_driver_is_killed(nodes: Nodes, tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    uri = tmp_path / "index"
    run = ingest(tmp_path, checkpoint, nodes)
    wait_for(run, lambda: committed(uri) >= 8)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    kept = committed(uri)
    assert kept < ITEMS, "the driver was killed too late to show anything"
    run = ingest(tmp_path, checkpoint, nodes)
    out, errors = run.communicate(timeout=180)
    assert run.returncode == 0, errors
    found = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in out.splitlines() if "│" in line}
    assert found["new items"] == f"{ITEMS - kept}" and found["unchanged items"] == f"{kept}"
    oracle.check(Index.open(uri), catalogue(ITEMS))
