"""Searches of what is near: close to the exact answer, never short, and with pages that fit each other."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipelines.index.publish import PublishSettings
from pipelines.index.store import Index
from pipelines.index.upkeep import UpkeepSettings
from pipelines.index.vector_index import VectorIndexSettings
from pipelines.search import columns, shelves
from pipelines.search.engine import Engine
from pipelines.search.filters import AllOf, Comparison, Operator
from pipelines.search.matrices import MatrixCache
from pipelines.search.request import AttributeCondition, Match, SearchRequest

from .indexed import publish_world
from .world import TAXONOMY, World, make_world

COUNT, WIDTH = 6000, 64
LARGE = [
    pytest.param((), id="alike"),
    pytest.param((AttributeCondition("collar"),), id="as the query"),
    pytest.param((AttributeCondition("colour", ("red",)),), id="a class"),
    pytest.param((AttributeCondition("pattern", ("print", "tribal"), Match.ANY),), id="one of two classes"),
    pytest.param(
        (AttributeCondition("pattern", ("print",)), AttributeCondition("colour", ("black",), weight=2.0)),
        id="two conditions",
    ),
    pytest.param((AttributeCondition("colour", excluded_classes=("red",)),), id="all but a class"),
]

TWO_CLASSES = pytest.param((AttributeCondition("pattern", ("print", "tribal")),), id="two classes")


def wide(world: World) -> World:
    """With embeddings that are like a real encoder's: on a bent surface of few dimensions."""
    dice = np.random.default_rng(7)
    bend, spread = dice.standard_normal((10, 30)), dice.standard_normal((30, WIDTH))
    hidden = dice.standard_normal((len(world.ids), 10))

    def embedded(own: int) -> np.ndarray:
        """Of all items in one space: what items share in all of them, and something of their own."""
        turned = np.random.default_rng(own).standard_normal((10, 10)) / 3 + np.eye(10)
        vectors = np.tanh((hidden + 0.3 * dice.standard_normal(hidden.shape)) @ turned @ bend / 3) @ spread
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)

    encoder = copy.deepcopy(world.checkpoint.encoder)  # asked for its widths alone
    encoder.width = encoder.class_width = WIDTH
    by_class = [embedded(10 + m) for m in range(TAXONOMY.class_count)]
    return replace(
        world,
        attributes=np.stack([embedded(n) for n in range(len(TAXONOMY.names))], 1),
        classes={(i, m): by_class[m][i] for i, m in world.classes},
        prototypes=np.stack([one[:50].mean(0) for one in by_class]).astype(np.float32),
        class_prototypes=np.stack([one[:50].mean(0) for one in by_class]).astype(np.float32),
        checkpoint=replace(world.checkpoint, encoder=encoder),
        view=replace(world.view, width=WIDTH, class_width=WIDTH),
    )


@pytest.fixture(scope="module")
def world() -> World:
    return wide(make_world(3, COUNT))


@pytest.fixture(scope="module", params=["their sketches", "the tables' indices"])
def by(request: pytest.FixtureRequest) -> str:
    """What the near ones are found by."""
    return str(request.param)


@pytest.fixture(scope="module")
def engine(world: World, by: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if by == "their sketches":
        yield Engine(world.reader(1000), world.checkpoint, cache=MatrixCache(10**9, partition_from=800))
        return
    index = Index.create(tmp_path_factory.mktemp("index"))
    upkeep = UpkeepSettings(vector=VectorIndexSettings(rows=256))
    snapshot = publish_world(index, world, PublishSettings(upkeep=upkeep))
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((columns, "_FINDING"), (columns, "FETCHING"), (shelves, "FETCHING")):
            patch.setattr(module, name, 2)  # as if there were many more items
        yield Engine(index.reader(snapshot), world.checkpoint, cache=MatrixCache(0, partition_from=800))


@pytest.mark.parametrize("conditions", LARGE)
def test_most_of_the_exact_page_is_found(
    engine: Engine, by: str, world: World, conditions: tuple[AttributeCondition, ...]
) -> None:
    recalls, used = [], 0
    for item in range(25):
        request = SearchRequest(item_id=world.ids[item], attributes=conditions, page_size=100)
        found, exact = engine.search(request), engine.search(replace(request, exact=True))
        assert exact.exact and found.total_candidates == exact.total_candidates and len(found.hits) == 100
        used += not found.exact
        assert (f"near by {by}" in found.plan) == (not found.exact)
        places = [(hit.tier, hit.score) for hit in found.hits]
        assert places == sorted(places, reverse=True)
        same = {hit.item_id: hit for hit in exact.hits}
        for hit in found.hits:  # what is found is told about alike
            if hit.item_id in same:
                assert hit._replace(rank=0) == same[hit.item_id]._replace(rank=0)
        assert Counter(tier for tier, _ in places) == Counter(hit.tier for hit in exact.hits)
        recalls.append(len(same.keys() & {hit.item_id for hit in found.hits}) / 100)
    assert used > 0, "partitions were never used"
    assert np.mean(recalls) >= 0.95


@pytest.mark.parametrize("conditions", [LARGE[0], LARGE[2], TWO_CLASSES])
def test_pages_fit_each_other(engine: Engine, world: World, conditions: tuple[AttributeCondition, ...]) -> None:
    request = SearchRequest(item_id=world.ids[0], attributes=conditions, page_size=1000)
    every, token = [], ""
    for size in itertools.cycle([10, 300, 90, 250, 1000]):
        page = engine.search(replace(request, page_size=size, page_token=token))
        every += page.hits
        token = page.next_page_token
        if not token:
            break
    assert [hit.rank for hit in every] == list(range(1, COUNT))
    assert {hit.item_id for hit in every} == {*world.ids} - {world.ids[0]}
    tiers = [hit.tier for hit in every]
    assert tiers == sorted(tiers, reverse=True)
    assert engine.search(request).hits == tuple(every[:1000])


def test_groups_are_never_short(engine: Engine, world: World) -> None:
    for item in range(5):
        request = SearchRequest(item_id=world.ids[item], group_by="brand", page_size=1000)
        found, exact = engine.search(request), engine.search(replace(request, exact=True))
        assert len(found.hits) == len(exact.hits) == 1000 < found.total_groups  # a missing brand is like no other
        assert len({hit.item_id for hit in found.hits}) == len(found.hits)


def test_few_candidates_are_all_compared(engine: Engine, world: World) -> None:
    few = AllOf((Comparison("price", Operator.EQUAL, 8), Comparison("brand", Operator.EQUAL, "Acme")))
    many = Comparison("price", Operator.NOT_EQUAL, 8)
    for filter_, compared in ((few, True), (many, False)):
        request = SearchRequest(item_id=world.ids[1], filter=filter_, page_size=200)
        found, truth = engine.search(request), engine.search(replace(request, exact=True))
        assert found.exact == compared == (found.total_candidates < 800)
        missed = {hit.item_id for hit in truth.hits} - {hit.item_id for hit in found.hits}
        assert len(found.hits) == 200 and len(missed) <= (0 if compared else 10)


def test_what_does_not_fit_into_memory_is_all_compared(world: World) -> None:
    engine = Engine(world.reader(1000), world.checkpoint, cache=MatrixCache(0, partition_from=800))
    request = SearchRequest(item_id=world.ids[2], page_size=50)
    assert engine.search(request).exact


def test_another_snapshot_learns_from_the_one_before(world: World) -> None:
    cache = MatrixCache(10**9, partition_from=800)
    first = Engine(world.reader(1000), world.checkpoint, cache=cache)
    request = SearchRequest(item_id=world.ids[2], page_size=50)
    hits = first.search(request).hits
    later = replace(world, view=replace(world.view, snapshot_id="s00000002"))
    second = Engine(later.reader(900), world.checkpoint, cache=cache)
    second.warm(first)
    found = second.search(request)
    assert not found.exact and found.hits == hits
