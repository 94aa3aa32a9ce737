"""What is committed at one moment."""

from __future__ import annotations

import threading
import time

import pytest

from pipelines.errors import StoreError
from pipelines.index import committed
from pipelines.index.committed import committed_tables
from pipelines.index.committer import Committer
from pipelines.index.naming import ITEMS
from pipelines.index.sentinel import read_mark

from .support import Item, receipt


def test_tables_are_of_one_commit_while_another_goes_on(committer: Committer) -> None:
    stop = threading.Event()

    def write() -> None:
        for number in range(1000):
            committer.commit([receipt(committer, upserts={f"i{number}": Item(number % 8)})])
            if stop.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = set()
        for _ in range(30):
            datasets = committed_tables(committer.index, committer.generation)
            (mark,) = {read_mark(dataset) for dataset in datasets.values()}
            seen.add(mark)
            time.sleep(0.02)
    finally:
        stop.set()
        writer.join()
    assert len(seen) > 3


def test_half_a_commit_is_told(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    committer.commit([receipt(committer, upserts={"a": Item(1)})])
    monkeypatch.setattr(committed, "_PAUSE_S", 0.001)
    version = committer.datasets[ITEMS].version - 1
    committer.index.dataset(ITEMS, committer.generation.name, version).restore()
    with pytest.raises(StoreError, match=r"middle of a commit, and stay there; .* `duet ingest` repairs it"):
        committed_tables(committer.index, committer.generation)
