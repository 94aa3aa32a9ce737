"""Explanations against the slow oracle: the parts add up to the whole."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.errors import RequestError
from pipelines.search.engine import Engine
from pipelines.search.request import AttributeCondition, SearchRequest

from .oracle import answer
from .strategies import requests
from .test_engine import Levels, engine_of, world_of, worlds
from .world import make_world


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), worlds)
def test_an_explanation_adds_up(data: st.DataObject, key: tuple[int, int, Levels]) -> None:
    world, engine = world_of(*key), engine_of(*key, 10**9)
    request = data.draw(requests(world))
    expected = answer(world, request)
    if not expected:
        return
    place = data.draw(st.integers(0, len(expected) - 1))
    found = engine.explain(request, expected[place].item_id)
    assert found.hit is not None
    assert (found.hit.rank, found.hit.item_id) == (place + 1, expected[place].item_id)
    assert (found.hit.tier, found.hit.score) == (expected[place].tier, pytest.approx(expected[place].score, abs=1e-6))
    assert sum(part.tier for part in found.attributes) == found.hit.tier
    if request.manipulations:
        assert [part.weight for part in found.attributes] == [0] * len(found.attributes)
        changed = {c.attribute for c in found.hit.contributions if c.removed or c.added}
        assert set(found.changes) == changed <= {change.attribute for change in request.manipulations}
    else:
        assert sum(part.weight for part in found.attributes) == pytest.approx(1)
        assert sum(part.score_share for part in found.attributes) == pytest.approx(found.hit.score, abs=1e-6)
    for part in found.attributes:
        carried = {one.name for one in part.classes if one.probability is not None}
        assert carried == expected[place].matched.get(part.attribute, set()) or not part.weight
        shares = [one.score_share for one in part.classes if one.similarity is not None]
        if shares:
            assert sum(shares) == pytest.approx(part.score_share, abs=1e-6)


def test_an_explanation_of_what_is_no_candidate() -> None:
    world = make_world(1, 30)
    engine = Engine(world.reader(), world.checkpoint)
    request = SearchRequest(item_id=world.ids[3], attributes=(AttributeCondition("collar"),))
    for item_id, reason in ((world.ids[3], "NOT_A_CANDIDATE"), ("nobody", "ITEM_NOT_FOUND")):
        with pytest.raises(RequestError) as raised:
            engine.explain(request, item_id)
        assert (raised.value.reason, raised.value.field) == (reason, "item_id")
    alone = engine.explain(request)
    assert alone.hit is None and "collar" in alone.plan


@pytest.mark.parametrize("last", ["plan", "query", "candidates", "rank"])
def test_an_explanation_may_be_given_up_before_each_stage(last: str) -> None:
    world, begun = make_world(1, 30), list[str]()

    def before(stage: str) -> None:
        begun.append(stage)
        if stage == last:
            raise TimeoutError(stage)

    with pytest.raises(TimeoutError, match=last):
        Engine(world.reader(), world.checkpoint).explain(SearchRequest(item_id=world.ids[3]), world.ids[4], before)
    assert begun == ["plan", "query", "candidates", "rank"][: len(begun)]
