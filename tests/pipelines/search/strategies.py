"""Random requests about the tests' taxonomy and metadata; every one of them is valid."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from model.manipulation import Operation
from pipelines.search.filters import AllOf, AnyOf, Comparison, Filter, Membership, Negated, Operator
from pipelines.search.request import AttributeCondition, Manipulation, Match, SearchRequest

from .world import TAXONOMY, World, picture

_VALUES = {
    "price": st.one_of(
        st.integers(7, 13), st.sampled_from([9.5, 10.0, 11.25]), st.sampled_from([float("inf"), -1e300])
    ),
    "weight": st.sampled_from([0.1, 0.5, 0.75, 1, 2]),
    "brand": st.sampled_from(["Acme", "O'Brien", "ünlü", "x' OR '1'='1", ""]),
    "sale": st.booleans(),
    "added": st.sampled_from([datetime(2024, 1, 2, tzinfo=UTC), "2024-01-03", "2024-01-02T00:00:00+00:00"]),
}


def leaves() -> st.SearchStrategy[Filter]:
    def for_column(column: str) -> st.SearchStrategy[Filter]:
        value = _VALUES[column]
        if column == "price":
            value = value.filter(lambda v: not isinstance(v, float) or (v == v and abs(v) < 2**62))
        comparison = st.builds(Comparison, st.just(column), st.sampled_from(Operator), value)
        members = st.lists(value, min_size=1, max_size=3).map(lambda values: Membership(column, tuple(values)))
        return comparison | members

    return st.sampled_from(sorted(_VALUES)).flatmap(for_column)


def filters() -> st.SearchStrategy[Filter]:
    def extend(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        several = st.lists(inner, min_size=1, max_size=3).map(tuple)
        return st.builds(AllOf, several) | st.builds(AnyOf, several) | st.builds(Negated, inner)

    return st.recursive(leaves(), extend, max_leaves=5)


@st.composite
def conditions(draw: st.DrawFn, *, given_query: bool) -> tuple[AttributeCondition, ...]:
    result = []
    for attribute in draw(st.lists(st.sampled_from(TAXONOMY.attributes), unique=True, max_size=3)):
        order = draw(st.permutations(attribute.classes))
        wanted = draw(st.integers(0, min(3, len(order))))
        excluded = draw(st.sampled_from([0, 0, 0, 1])) if wanted < len(order) else 0
        if not given_query and wanted + excluded == 0:
            wanted = 1
        result.append(
            AttributeCondition(
                attribute.name,
                tuple(order[:wanted]),
                draw(st.sampled_from(Match)),
                tuple(order[wanted : wanted + excluded]),
                draw(st.sampled_from([0.5, 1.0, 2.0, 3.0])),
            )
        )
    return tuple(result)


@st.composite
def manipulations(draw: st.DrawFn) -> tuple[Manipulation, ...]:
    result: list[Manipulation] = []
    for attribute in draw(st.lists(st.sampled_from(TAXONOMY.attributes), unique=True, max_size=2)):
        first, second, third = (*draw(st.permutations(attribute.classes)), None)[:3]
        name = attribute.name
        options = [
            (Manipulation(name, Operation.REPLACE, first),),
            (Manipulation(name, Operation.REPLACE, first, second),),
        ]
        if attribute.multi_label:
            options += [
                (Manipulation(name, Operation.ADD, first),),
                (Manipulation(name, Operation.REMOVE, None, first),),
                (Manipulation(name, Operation.ADD, first), Manipulation(name, Operation.REMOVE, None, second)),
                (Manipulation(name, Operation.REPLACE, first, second), Manipulation(name, Operation.ADD, third)),
            ]
        result += draw(st.sampled_from(options))
    return tuple(result)


@st.composite
def requests(draw: st.DrawFn, world: World) -> SearchRequest:
    kind = draw(st.sampled_from(["image", "item", "prototypes"]))
    asked = draw(conditions(given_query=kind != "prototypes"))
    if kind == "prototypes" and not any(condition.classes for condition in asked):
        asked = (*(c for c in asked if c.attribute != "pattern"), AttributeCondition("pattern", ("tribal", "print")))
    return SearchRequest(
        image=picture(draw(st.integers(0, 20))) if kind == "image" else None,
        item_id=draw(st.sampled_from(world.ids)) if kind == "item" else None,
        attributes=asked,
        manipulations=() if kind == "prototypes" else draw(manipulations()),
        filter=draw(st.none() | filters()),
        page_size=draw(st.integers(0, 60)),
        group_by=draw(st.sampled_from(["", "", *sorted(_VALUES)])),
        exact=draw(st.booleans()),
    )
