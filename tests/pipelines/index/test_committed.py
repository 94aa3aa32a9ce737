"""What is committed at one moment."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from pipelines.errors import StoreError
from pipelines.index import committed
from pipelines.index.committed import committed_tables
from pipelines.index.committer import Committer
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


def test_half_a_commit_is_looked_past(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts={"a": Item(1)})])
    before = committer.mark
    table = committer.generation.committed_tables[0]
    committer._commit_table(table, [], [], "0" * 20 + "-half")
    datasets = committed_tables(committer.index, committer.generation)
    assert {read_mark(dataset) for dataset in datasets.values()} == {before}


def test_tables_that_fit_in_no_version_are_told(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committed, "_PAUSE_S", 0.001)
    committer.commit([receipt(committer, upserts={"a": Item(1)})])
    table = committer.generation.committed_tables[0]
    committer._commit_table(table, [], [], "0" * 20 + "-half")
    committer.datasets[table].cleanup_old_versions(timedelta(0))
    with pytest.raises(StoreError, match=r"do not fit together; .* `duet ingest` repairs it"):
        committed_tables(committer.index, committer.generation)
