"""Offsets of topics that are taken in at the same time: none loses another's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipelines.index.datasets import open_dataset
from pipelines.index.store import Index
from pipelines.ingest import offsets as offsets_module
from pipelines.ingest.offsets import Offsets
from pipelines.ingest.topic import Topic


def test_another_topic_advances_between_reading_and_committing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.create(tmp_path / "index")
    first, second = Offsets(index, "first"), Offsets(index, "second")
    first.write({0: 1, 1: 1})
    second.write({0: 1})
    due = [{0: 5}]

    def slow(uri: str) -> Any:
        dataset = open_dataset(uri)
        if due:
            second.write(due.pop())
        return dataset

    monkeypatch.setattr(offsets_module, "open_dataset", slow)
    first.write({0: 7})
    assert first.read() == {0: 7, 1: 1} and second.read() == {0: 5}


def test_topics_advance_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets_module, "_CLEANED", 4)  # cleaned in between, too
    index, names, steps = Index.create(tmp_path / "index"), ("a", "b", "c"), 25

    def opened(name: str) -> Topic:
        return Topic(Index.open(index.uri), f"kafka://broker:9092/{name}", {})

    def advance(topic: Topic) -> None:
        for step in range(1, steps + 1):
            topic._reached = {0: step, 1: 2 * step}
            topic._advance()

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(advance, map(opened, names)))
    assert [opened(name)._next for name in names] == [{0: steps, 1: 2 * steps}] * len(names)
    table = open_dataset(index.table_uri("offsets"))
    assert table.count_rows() == 2 * len(names) and len(table.get_fragments()) <= 2 * len(names)


def test_old_versions_leave_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets_module, "_CLEANED", 4)
    monkeypatch.setattr(offsets_module, "_KEPT", offsets_module.timedelta(0))
    index = Index.create(tmp_path / "index")
    offsets = Offsets(index, "topic")
    for step in range(12):
        offsets.write({0: step})
    assert len(open_dataset(index.table_uri("offsets")).versions()) <= 4
    assert offsets.read() == {0: 11}
