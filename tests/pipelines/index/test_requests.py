"""Requests that are done once, whoever is asked again."""

from __future__ import annotations

import pytest

from pipelines.index import requests as module
from pipelines.index.committer import Committer
from pipelines.index.requests import Request, Requests
from pipelines.index.store import Index

from .support import Item, receipt

ONE = Request("one 'quoted' 1", "d1")


def test_nothing_is_known_of_what_nobody_asked(index: Index) -> None:
    requests = Requests(index)
    assert requests.find("one") is None
    requests.settle("g", "mark")
    requests.answered(ONE, b"yes")
    assert requests.find("one") is None


def test_an_answer_is_found_by_every_process(index: Index) -> None:
    Requests(index).answered(ONE, b"\0yes")
    entry = Requests(Index.open(index.uri)).find(ONE.request_id)
    assert entry is not None and (entry.digest, entry.answer, entry.begun) == ("d1", b"\0yes", False)


def test_one_that_was_begun_is_done_if_its_commit_is_there(committer: Committer) -> None:
    index = committer.index
    upsert = receipt(committer, upserts={"a": Item(1)})
    committer.commit([upsert], ONE, {"new": 1})
    begun = Requests(index).find(ONE.request_id)
    assert begun is not None and begun.begun and begun.counts == {"new": 1}
    again = Committer(index, committer.generation, committer.lease)
    again.commit([receipt(again, upserts={"b": Item(2)})])
    Committer(index, committer.generation, committer.lease)
    done = Requests(index).find(ONE.request_id)
    assert done is not None and not done.begun and done.answer is None
    assert (done.counts, done.before, done.generation) == ({"new": 1}, "", committer.generation.name)


def test_one_that_was_begun_is_forgotten_if_its_commit_never_ended(committer: Committer) -> None:
    requests = Requests(committer.index)
    requests.begin(ONE, committer.generation.name, "a mark that nothing has")
    requests.begin(ONE, "another generation", "its mark")
    Committer(committer.index, committer.generation, committer.lease)
    entry = requests.find(ONE.request_id)
    assert entry is not None and entry.generation == "another generation" and entry.begun


def test_what_was_answered_counts_before_what_a_late_writer_left(committer: Committer) -> None:
    requests = Requests(committer.index)
    requests.answered(ONE, b"yes")
    requests.begin(ONE, committer.generation.name, "a mark that nothing has")
    entry = requests.find(ONE.request_id)
    assert entry is not None and entry.answer == b"yes"
    Committer(committer.index, committer.generation, committer.lease)
    entry = requests.find(ONE.request_id)
    assert entry is not None and entry.answer == b"yes"


def test_the_last_ones_are_kept(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 20)
    monkeypatch.setattr(module, "_FRAGMENTS", 8)
    requests = Requests(index)
    for number in range(50):
        requests.answered(Request(str(number), "d"), str(number).encode())
    kept = [number for number in range(50) if requests.find(str(number)) is not None]
    assert kept == list(range(kept[0], 50)) and 20 <= len(kept) <= 28
    assert len(index.dataset("requests").get_fragments()) <= 8
