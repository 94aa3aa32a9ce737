"""Training over several Ray nodes: the same result as on one, whatever is killed; and with as many as there are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from model.checkpoint import load_checkpoint
from pipelines.train.__main__ import main
from tests.nodes import Nodes, ray_nodes, wait_for

from .shapes import write_shapes
from .test_launch import arguments, epochs_done

pytestmark = pytest.mark.slow

EPOCHS = 6


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes.parquet", 80)


@pytest.fixture(scope="module")
def one_node(manifest: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> str:
    """What two workers on one node end with."""
    out = tmp_path_factory.mktemp("one")
    assert main([*arguments(manifest, out, EPOCHS), "--workers", "2"]) == 0
    return load_checkpoint(out / "checkpoint").digest


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Two nodes with a CPU each."""
    with ray_nodes([1, 1]) as nodes:
        yield nodes


def train(nodes: Nodes, manifest: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return nodes.start("pipelines.train", [*arguments(manifest, out, EPOCHS), "--workers", "2", *more])


def workers(out: Path) -> list[int]:
    """How many workers there were in each epoch."""
    path = out / "metrics.jsonl"
    return [json.loads(line)["workers"] for line in path.read_text().splitlines()] if path.exists() else []


def test_a_node_and_a_driver_are_killed(nodes: Nodes, manifest: Path, one_node: str, tmp_path: Path) -> None:
    run = train(nodes, manifest, tmp_path)
    wait_for(run, lambda: epochs_done(tmp_path) >= 2)
    assert all(nodes.processes(node, "RayTrainWorker") for node in nodes.workers), "a worker on every node"
    nodes.kill(nodes.workers[0])
    nodes.add(1)
    wait_for(run, lambda: epochs_done(tmp_path) >= 4)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert epochs_done(tmp_path) < EPOCHS, "the driver was killed too late to show anything"
    run = train(nodes, manifest, tmp_path)
    _, errors = run.communicate(timeout=150)
    assert run.returncode == 0, errors
    assert workers(tmp_path) == [2] * EPOCHS
    assert load_checkpoint(tmp_path / "checkpoint").digest == one_node


@pytest.mark.timeout(600)  # Ray looks every minute
def test_workers_go_and_come_with_the_nodes(
    nodes: Nodes, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long Ray waits for what has just gone; a minute by default.
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "15")
    run = train(nodes, manifest, tmp_path, "--min-workers", "1", "--epochs", "10000")
    # Several epochs each: the last one's checkpoint may not be there yet, and it is then lost as one that was begun.
    wait_for(run, lambda: workers(tmp_path)[-4:] == [2] * 4)
    nodes.kill(nodes.workers[0])
    wait_for(run, lambda: workers(tmp_path)[-4:] == [1] * 4)
    nodes.add(1)
    wait_for(run, lambda: workers(tmp_path)[-4:] == [2] * 4)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    assert [count for count, _ in groupby(workers(tmp_path))][-3:] == [2, 1, 2], "it may begin with one"
    epochs = [json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, len(epochs) + 1)), "every epoch once, whoever trained it"
