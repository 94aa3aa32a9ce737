"""The engine against the slow oracle on random snapshots and requests."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.manipulation import Operation
from pipelines.errors import RequestError, StoreError
from pipelines.search.engine import Engine
from pipelines.search.matrices import MatrixCache
from pipelines.search.request import AttributeCondition, Manipulation, Match, SearchRequest
from pipelines.search.result import SearchResult

from .oracle import answer, best_of_each
from .strategies import requests
from .world import World, make_world, picture

Levels = tuple[bool, bool, int]  # whether the encoder has classes, and puts them first; its slack


@cache
def world_of(seed: int, count: int, levels: Levels) -> World:
    return make_world(seed, count, has_classes=levels[0], class_first=levels[1], slack=levels[2])


@cache
def engine_of(seed: int, count: int, levels: Levels, cache_bytes: int) -> Engine:
    world = world_of(seed, count, levels)
    return Engine(world.reader(), world.checkpoint, cache=MatrixCache(cache_bytes))


worlds = st.tuples(
    st.integers(0, 3),
    st.sampled_from([1, 2, 12, 45]),
    st.sampled_from([(True, True, 0), (True, True, 0), (False, True, 0), (False, False, 0), (False, False, 1)]),
)


def pages(engine: Engine, request: SearchRequest) -> list[SearchResult]:
    result = [engine.search(request)]
    while result[-1].next_page_token:
        result.append(engine.search(replace(request, page_token=result[-1].next_page_token)))
    return result


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), worlds, st.sampled_from([0, 700, 10**9]))
def test_answers_are_the_oracles(data: st.DataObject, key: tuple[int, int, Levels], cache_bytes: int) -> None:
    check_answer(data, key, cache_bytes)


@pytest.mark.slow
@settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(worlds, st.sampled_from([0, 700, 10**9]), st.data())
def test_more_answers_are_the_oracles(key: tuple[int, int, Levels], cache_bytes: int, data: st.DataObject) -> None:
    check_answer(data, key, cache_bytes)


def check_answer(data: st.DataObject, key: tuple[int, int, Levels], cache_bytes: int) -> None:
    world, engine = world_of(*key), engine_of(*key, cache_bytes)
    request = data.draw(requests(world))
    expected = answer(world, request)
    candidates = len(expected)
    if request.group_by:
        expected = best_of_each(world, expected, request.group_by)
    found = pages(engine, request)
    size = min(request.page_size or 10, 1000)
    hits = [hit for page in found for hit in page.hits]
    assert [hit.item_id for hit in hits] == [one.item_id for one in expected]
    assert [hit.tier for hit in hits] == [one.tier for one in expected]
    assert [hit.score for hit in hits] == pytest.approx([one.score for one in expected], abs=1e-6)
    assert [hit.rank for hit in hits] == list(range(1, len(expected) + 1))
    assert [len(page.hits) for page in found[:-1]] == [size] * (len(found) - 1)
    assert {page.total_candidates for page in found} == {candidates}
    assert {page.total_groups for page in found} == {len(expected) if request.group_by else 0}
    assert found[-1].hits or not expected  # no token for an empty page
    for hit, one in zip(hits, expected, strict=True):
        matched = {c.attribute: {match.name for match in c.matched} for c in hit.contributions if c.matched}
        asked = {one.attribute for one in request.attributes if one.classes or not one.excluded_classes}
        kept = {a: names for a, names in matched.items() if not asked or a in asked}
        assert kept == one.matched


def test_a_request_is_checked_without_being_searched() -> None:
    world = make_world(1, 30)
    engine = Engine(world.reader(), world.checkpoint)
    collar = AttributeCondition("collar")
    checked = engine.search(SearchRequest(image=b"no picture", attributes=(collar,), validate_only=True))
    assert checked.hits == () and "collar" in checked.plan and list(checked.timings) == ["plan"]
    with pytest.raises(RequestError) as raised:
        engine.search(SearchRequest(image=b"", attributes=(AttributeCondition("cat"),), validate_only=True))
    assert raised.value.reason == "UNKNOWN_ATTRIBUTE"


def hits_of(world: World, **request: object) -> SearchResult:
    return Engine(world.reader(), world.checkpoint).search(SearchRequest(**request))  # type: ignore[arg-type]


def test_a_hit_says_why_it_is_there() -> None:
    world = make_world(1, 30)
    condition = AttributeCondition("pattern", ("print", "tribal"))
    result = hits_of(world, item_id=world.ids[4], attributes=(condition,))
    best = result.hits[0]
    i = world.ids.index(best.item_id)
    (contribution,) = best.contributions
    assert best.rank == 1 and best.tier == 2 and best.score == contribution.class_similarity
    assert {match.name: match.probability for match in contribution.matched} == {
        "print": world.probabilities[i, 3],
        "tribal": world.probabilities[i, 4],
    }
    assert best.metadata == {name: value for name, value in world.metadata[i].items() if value is not None}
    assert best.image_uri == ("" if i % 2 else f"images/{i}.jpg")
    assert list(result.timings) == ["plan", "query", "turn", "candidates", "score", "rank", "explain"]
    assert result.exact and result.model == world.checkpoint.digest and result.snapshot_id == "s00000001"


def test_a_manipulation_says_what_came_and_went() -> None:
    world = make_world(2, 30)
    i = next(i for i in range(30) if world.carried[i, 4] and not world.carried[i, 5])  # tribal, not floral
    swap = Manipulation("pattern", Operation.REPLACE, "floral", "tribal")
    result = hits_of(world, item_id=world.ids[i], manipulations=(swap,))
    (contribution,) = result.hits[0].contributions
    assert (contribution.attribute, contribution.removed, contribution.added) == ("pattern", ("tribal",), ("floral",))
    assert result.hits[0].tier == 0 and contribution.class_similarity is None


def test_replacing_a_class_that_the_query_does_not_carry_leaves_it_one() -> None:
    world = make_world(4, 40)
    i = next(i for i in range(40) if world.carried[i, 0])  # v-neck, whatever the request says
    request = SearchRequest(
        item_id=world.ids[i],
        manipulations=(Manipulation("collar", Operation.REPLACE, "round", "polo"),),
        attributes=(AttributeCondition("collar"),),
        page_size=40,
    )
    result = Engine(world.reader(), world.checkpoint).search(request)
    (contribution,) = result.hits[0].contributions
    assert (contribution.removed, contribution.added) == (("v-neck",), ("round",))
    assert {hit.tier for hit in result.hits} == {0, 1}
    for hit in result.hits:
        assert hit.tier == int(world.carried[world.ids.index(hit.item_id), 1])
    whole = replace(request, manipulations=(Manipulation("collar", Operation.REPLACE, "round"),))
    assert Engine(world.reader(), world.checkpoint).search(whole).hits == result.hits


def test_a_condition_that_only_excludes_leaves_the_order_as_it_was() -> None:
    world = make_world(4, 40)
    no_polo = (AttributeCondition("collar", excluded_classes=("polo",)),)
    for query in ({"item_id": world.ids[3]}, {"image": picture(2)}):
        every, some = (hits_of(world, attributes=asked, page_size=40, **query) for asked in ((), no_polo))
        kept = [hit for hit in every.hits if not world.carried[world.ids.index(hit.item_id), 2]]
        assert 0 < len(kept) < len(every.hits)
        assert [(hit.item_id, hit.score) for hit in some.hits] == [(hit.item_id, hit.score) for hit in kept]


def test_a_condition_beside_a_manipulation_wants_the_changed_classes() -> None:
    world = make_world(3, 40)
    red = Manipulation("colour", Operation.REPLACE, "red")
    result = hits_of(
        world, image=picture(1), manipulations=(red,), attributes=(AttributeCondition("colour"),), page_size=40
    )
    carried = [bool(world.carried[world.ids.index(hit.item_id), 8]) for hit in result.hits]
    assert carried == sorted(carried, reverse=True) and any(carried) and not all(carried)


def test_all_ranks_complete_items_first_and_any_does_not_count() -> None:
    world = make_world(5, 45)
    both = ("print", "floral")
    for match, tiers in ((Match.ALL, {0, 1, 2}), (Match.ANY, {0, 1})):
        result = hits_of(world, attributes=(AttributeCondition("pattern", both, match),), page_size=45)
        assert {hit.tier for hit in result.hits} == tiers
        for hit in result.hits:
            number = int(world.carried[world.ids.index(hit.item_id), [3, 5]].sum())
            assert hit.tier == (number if match is Match.ALL else min(number, 1))


def test_equal_pictures_tie_by_id_wherever_their_rows_lie() -> None:
    world = make_world(6, 30)
    world.attributes[:] = world.attributes[0]  # all the same picture
    result = hits_of(world, image=picture(3), page_size=30)
    assert [hit.item_id for hit in result.hits] == sorted(world.ids)


def test_what_is_over_the_budget_is_streamed_and_never_kept() -> None:
    world = make_world(7, 30)
    reader, cache = world.reader(), MatrixCache(30 * (4 * 2 + 8))  # room for one attribute
    engine = Engine(reader, world.checkpoint, cache=cache)
    request = SearchRequest(item_id=world.ids[0])
    first = engine.search(request)
    reader.scans.clear()
    assert engine.search(request).hits == first.hits
    embeddings = [table for table, columns in reader.scans if columns == ("item_id", "embedding")]
    assert len(embeddings) == 3  # each evicts the one before
    roomy = Engine(reader, world.checkpoint)
    assert roomy.search(request).hits == first.hits
    reader.scans.clear()
    assert roomy.search(request).hits == first.hits
    assert [table for table, columns in reader.scans if columns == ("item_id", "embedding")] == []


def test_a_caller_can_stop_between_stages() -> None:
    world = make_world(8, 10)
    seen = []

    def stop(stage: str) -> None:
        seen.append(stage)
        if stage == "score":
            raise TimeoutError

    with pytest.raises(TimeoutError):
        Engine(world.reader(), world.checkpoint).search(SearchRequest(item_id=world.ids[0]), stop)
    assert seen == ["plan", "query", "turn", "candidates", "score"]


def test_an_unknown_item_is_said_to_be_unknown() -> None:
    with pytest.raises(RequestError, match="no item 'nobody'") as caught:
        hits_of(make_world(9, 3), item_id="nobody")
    assert (caught.value.reason, caught.value.field) == ("ITEM_NOT_FOUND", "item_id")


def test_an_item_is_found_in_whatever_form_its_id_is_spelled() -> None:
    world = make_world(9, 6)
    engine = Engine(world.reader(), world.checkpoint)
    item_id = next(one for one in world.ids if "í" in one)
    apart = unicodedata.normalize("NFD", item_id)
    assert apart != item_id and engine.item(apart) == engine.item(item_id)
    hits = engine.search(SearchRequest(item_id=apart)).hits
    assert len(hits) == 5 and item_id not in {hit.item_id for hit in hits}


def test_a_class_without_prototype_is_said_to_be_missing() -> None:
    world = make_world(9, 3)
    reader = world.reader()
    reader.tables["prototypes"] = reader.tables["prototypes"].slice(1)
    with pytest.raises(RequestError, match="'v-neck' of 'collar' has no prototype") as caught:
        Engine(reader, world.checkpoint).search(SearchRequest(attributes=(AttributeCondition("collar", ("v-neck",)),)))
    assert caught.value.reason == "NO_PROTOTYPE"


def test_another_encoders_snapshot_is_refused() -> None:
    world = make_world(10, 3)
    with pytest.raises(StoreError, match="embeddings of two encoders do not compare"):
        Engine(world.reader(), replace(world.checkpoint, digest="cd" * 32))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("attribute-collar", "attribute-collar has 4 rows for 12 items"),
        ("class-collar", "disagrees|fewer"),
        ("global", "fewer"),
    ],
)
def test_a_damaged_index_is_said_to_be_damaged(table: str, message: str) -> None:
    world = make_world(11, 12)
    reader = world.reader()
    reader.tables[table] = reader.tables[table].slice(0, 4)
    engine = Engine(reader, world.checkpoint)
    condition = AttributeCondition("collar", ("v-neck", "round", "polo"))
    change = Manipulation("colour", Operation.REPLACE, "red")
    with pytest.raises(StoreError, match=message):
        engine.search(SearchRequest(image=picture(1), attributes=(condition,), manipulations=(change,)))
