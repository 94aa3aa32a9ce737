"""Two processes ingest into one index at the same moment, again and again: nothing interleaves."""

from __future__ import annotations

import multiprocessing
import random
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pipelines.errors import StoreError
from pipelines.index.store import Index
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings

from .support import Entry, Oracle, catalogue, write_manifest

pytestmark = pytest.mark.slow

ROUNDS = 20


def write(settings: dict[str, object], orders: Connection) -> None:
    """A process: ingests each manifest that it is sent, and tells what came of it."""
    while (manifest := orders.recv()) is not None:
        try:
            summary = run_ingest(IngestSettings(manifest=[manifest], **settings))  # type: ignore[arg-type]
            orders.send(("done", summary.new + summary.changed))
        except StoreError as error:
            orders.send(("refused", str(error)))


def test_two_writers(tmp_path: Path, checkpoint: Path, oracle: Oracle) -> None:
    dice = random.Random(11)
    uri = tmp_path / "index"
    settings = {"index": str(uri), "checkpoint": str(checkpoint), "threads": 1, "batch": 16, "chunk": 4}
    settings |= {"commit_vectors": 1}  # a commit a chunk: there is much that could interleave
    context = multiprocessing.get_context("spawn")  # Lance is not fork-safe
    pipes, writers = [], []
    for _ in range(2):
        here, there = context.Pipe()
        writers.append(context.Process(target=write, args=(settings, there), daemon=True))
        pipes.append(here)
    wanted = catalogue(8)
    run_ingest(IngestSettings(manifest=[write_manifest(tmp_path / "first.parquet", wanted)], **settings))  # type: ignore[arg-type]
    for writer in writers:
        writer.start()
    refused = 0
    for number in range(ROUNDS):
        manifests = []
        for writer in range(2):  # of the same items, with other pictures and labels
            changes = {f"item '{n}'": Entry(dice.randrange(100, 140), ("tribal",), number) for n in range(6)}
            changes |= {f"of {writer} in {number}": Entry(dice.randrange(100, 140))}
            manifests.append((changes, write_manifest(tmp_path / f"{number}-{writer}.parquet", changes)))
        for pipe, (_, path) in zip(pipes, manifests, strict=True):
            pipe.send(path)
        outcomes = [pipe.recv() for pipe in pipes]
        went = [n for n, (what, _) in enumerate(outcomes) if what == "done"]
        assert went, outcomes
        for what, told in outcomes:
            if what == "refused":
                assert "is being written by" in told or "just took the index" in told, told
                refused += 1
        # Both may have been through, one after the other, in either order.
        states = []
        for order in (went, went[::-1]):
            state = dict(wanted)
            for writer in order:
                state |= manifests[writer][0]
            states.append(state)
        items = {row["item_id"]: row["image_hash"] for row in _items(uri)}
        possible = [state for state in states if items == {key: entry.hash for key, entry in state.items()}]
        assert possible, f"round {number}: not the state after one writer and then the other"
        wanted = possible[0]
    for pipe, writer in zip(pipes, writers, strict=True):
        pipe.send(None)
        writer.join(30)
    assert refused > 0, "they never met"
    oracle.check(Index.open(uri), wanted)


def _items(uri: Path) -> list[dict[str, str]]:
    index = Index.open(uri)
    latest = index.latest()
    assert latest is not None
    rows: list[dict[str, str]] = index.reader(latest).items(["item_id", "image_hash"]).to_pylist()
    return rows
