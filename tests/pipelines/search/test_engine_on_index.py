"""The engine on a real index: the same random requests, the same oracle."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.index.store import Index
from pipelines.search.engine import Engine
from pipelines.search.matrices import MatrixCache

from .indexed import publish_world
from .oracle import answer, best_of_each
from .strategies import requests
from .world import World, make_world


@pytest.fixture(scope="module", params=[True, False], ids=["classes", "no classes"])
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[Engine]]:
    folder: Path = tmp_path_factory.mktemp("index")
    world = make_world(12, 30, has_classes=request.param)
    index = Index.create(folder)
    snapshot = publish_world(index, world)
    return world, [Engine(index.reader(snapshot), world.checkpoint, cache=MatrixCache(size)) for size in (0, 10**9)]


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_answers_are_the_oracles(engines: tuple[World, list[Engine]], data: st.DataObject) -> None:
    world, (streaming, resident) = engines
    request = data.draw(requests(world))
    expected = answer(world, request)
    if request.group_by:
        expected = best_of_each(world, expected, request.group_by)
    expected = expected[: request.page_size or 10]
    first, second = streaming.search(request), resident.search(request)
    assert first.hits == second.hits
    assert [(hit.item_id, hit.tier) for hit in first.hits] == [(one.item_id, one.tier) for one in expected]


def test_items(engines: tuple[World, list[Engine]]) -> None:
    world, (_, engine) = engines
    for i in (0, 1):
        item = engine.item(world.ids[i])
        assert item.metadata == {name: value for name, value in world.metadata[i].items() if value is not None}
        assert item.thumbnail == (b"jpeg" if i % 2 else b"")
        assert {m.name for classes in item.predictions.values() for m in classes} == {
            world.view.taxonomy.class_name(m)[1] for m in range(9) if world.carried[i, m]
        }
