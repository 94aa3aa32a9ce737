"""The soak, short; and that its checkers see what is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.index.store import Index
from pipelines.search.engine import Engine
from pipelines.search.request import AttributeCondition, SearchRequest
from tests.pipelines.search.indexed import publish_world
from tests.pipelines.search.world import World, make_world

from .soak.__main__ import summary
from .soak.answers import fault
from .soak.history import Asked, History
from .soak.loop import Soak
from .soak.memory import growth
from .soak.processes import Life

S1, S2, S3, S4 = (f"s0000000{n}" for n in range(1, 5))


@pytest.mark.slow
def test_a_short_soak(tmp_path: Path) -> None:
    soak = Soak(tmp_path, seed=5, seconds=30)
    soak.go()
    text, right = summary(soak)
    assert right, text
    assert soak.counts["searches"] and soak.counts["kills of the server"], text


def history(*contents: dict[str, int]) -> History:
    """Snapshots, one after the other."""
    one = History()
    for number, found in enumerate(contents, 1):
        one.published(f"s{number:08d}", found)
    return one


def acknowledged(one: History, asked: Asked, snapshot_id: str, exactly: bool = True) -> None:
    one.ask(asked)
    one.acknowledge(asked, snapshot_id, exactly)


def test_what_was_acknowledged_and_stayed_is_right() -> None:
    one = history({"a": 1}, {"a": 2}, {"a": 2, "b": 3}, {"b": 3})
    acknowledged(one, Asked(S1, {"a": 2}), S2)
    acknowledged(one, Asked(S2, {"b": 3}), S3)
    acknowledged(one, Asked(S3, {"a": None}), S4)
    assert one.faults() == []


def test_a_lost_change_is_seen() -> None:
    never = history({"a": 1}, {"a": 1})
    acknowledged(never, Asked(S1, {"a": 2}), S2)
    assert len(never.faults()) == 1
    later = history({"a": 1}, {"a": 2}, {"a": 1})
    acknowledged(later, Asked(S1, {"a": 2}), S2)
    assert len(later.faults()) == 1


def test_what_comes_back_and_what_nobody_asked_for_is_seen() -> None:
    back = history({"a": 1}, {}, {"a": 1})
    acknowledged(back, Asked(S1, {"a": None}), S2)
    assert len(back.faults()) == 1
    assert len(history({"a": 1}, {"a": 1, "b": 2}).faults()) == 1


def test_a_rollback_takes_back_all_that_came_after_and_nothing_else() -> None:
    right = history({"a": 1}, {"a": 2}, {"a": 1})
    acknowledged(right, Asked(S1, {"a": 2}), S2)
    assert len(right.faults()) == 1
    acknowledged(right, Asked(S2, target=S1), S3)
    assert right.faults() == []
    half = history({"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2})
    acknowledged(half, Asked(S1, {"a": 2, "b": 2}), S2)
    acknowledged(half, Asked(S2, target=S1), S3)
    assert len(half.faults()) == 1


def test_what_is_not_yet_acknowledged_may_be_there_or_not() -> None:
    for found in ({"a": 1}, {"a": 2}):
        one = history({"a": 1}, found)
        one.ask(Asked(S1, {"a": 2}))
        assert one.faults() == []
    one = history({"a": 1}, {"a": 3})
    one.ask(Asked(S1, {"a": 2}))
    assert len(one.faults()) == 1


def test_an_ingestion_may_be_published_before_it_ends() -> None:
    one = history({"a": 1}, {"a": 2}, {"a": 2})
    acknowledged(one, Asked(S1, {"a": 2}), S3, exactly=False)
    assert one.faults() == []
    late = history({"a": 1}, {"a": 1}, {"a": 1})
    acknowledged(late, Asked(S1, {"a": 2}), S3, exactly=False)
    assert len(late.faults()) == 1


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Engine]:
    world = make_world(5, 20)
    index = Index.create(tmp_path_factory.mktemp("index"))
    return world, Engine(index.reader(publish_world(index, world)), world.checkpoint)


def test_a_wrong_answer_is_seen(engine: tuple[World, Engine]) -> None:
    world, asked = engine
    condition = AttributeCondition("pattern", ("tribal", "print"))
    request = SearchRequest(item_id=world.ids[0], attributes=(condition,), page_size=6)
    result = asked.search(request)
    hits, total = result.hits, result.total_candidates
    assert fault(world, request, hits, total, 6) is None
    other = asked.search(replace(request, page_size=19)).hits[-1]
    first, second, *rest = hits
    wrong = {
        "one is missing": hits[1:],
        "one comes twice": (first, first, *hits[2:]),
        "a worse one is there in the place of a better one": (*hits[:5], other._replace(rank=6)),
        "a score": (first._replace(score=first.score - 0.01), *hits[1:]),
        "a tier": (first._replace(tier=first.tier + 1), *hits[1:]),
        "a price": (first._replace(metadata={"price": -1}), *hits[1:]),
        "ranks": (second, first, *rest),
    }
    for what, answer in wrong.items():
        assert fault(world, request, answer, total, 6) is not None, what
    assert fault(world, request, hits, total + 1, 6) is not None


def test_growing_memory_is_seen() -> None:
    flat = Life(memory=[(float(at), at, 10**9) for at in range(300)])
    assert growth(flat) == 1.0
    leaking = Life(memory=[(float(at), at, 10**9 + at * 10**7) for at in range(300)])
    found = growth(leaking)
    assert found is not None and found > 1.1
    assert growth(Life(memory=[(1.0, 1, 1)])) is None
