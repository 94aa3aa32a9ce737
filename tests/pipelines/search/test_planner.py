from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from model.manipulation import Change, Operation
from model.taxonomy import Attribute, Taxonomy
from pipelines.errors import RequestError
from pipelines.search.filters import AllOf, Comparison, Membership, Negated, Operator
from pipelines.search.limits import Limits
from pipelines.search.paging import PageToken, PageTokens
from pipelines.search.plan import Plan, QueryKind, Scope
from pipelines.search.planner import make_plan
from pipelines.search.request import AttributeCondition, Manipulation, Match, SearchRequest

from .world import METADATA, TAXONOMY

LIMITS = Limits()
SCOPE = Scope("s00000001", TAXONOMY, {field.name: field.type for field in METADATA}, has_global=True)
TOKENS = PageTokens(b"k" * 32)


def plan(limits: Limits = LIMITS, scope: Scope = SCOPE, **request: Any) -> Plan:
    return make_plan(SearchRequest(**request), scope, limits, TOKENS)


def collar(*classes: str, **more: Any) -> dict[str, Any]:
    return {"attributes": (AttributeCondition("collar", classes, **more),)}


def pattern(*changes: tuple[Any, ...]) -> dict[str, Any]:
    return {"item_id": "a", "manipulations": tuple(Manipulation("pattern", *change) for change in changes)}


def test_names_become_positions() -> None:
    made = plan(
        item_id="a",
        attributes=(
            AttributeCondition("pattern", ("floral", "print"), Match.ANY, ("tribal",), 2),
            AttributeCondition("collar"),
        ),
        manipulations=(Manipulation("colour", Operation.REPLACE, "red"),),
    )
    first, second = made.conditions
    assert (first.attribute, first.classes, first.match, first.excluded, first.weight) == (
        1,
        (5, 3),
        Match.ANY,
        (4,),
        2,
    )
    assert (second.attribute, second.classes, second.ranks) == (0, None, True)
    assert made.changes == (Change(2, Operation.REPLACE, 8),)
    assert made.query is QueryKind.ITEM and made.wanted_classes == (3, 5) and made.explained == (0, 1, 2)


def test_a_single_class_is_replaced_whatever_it_is() -> None:
    swap = Manipulation("collar", Operation.REPLACE, "round", "polo")
    assert plan(item_id="a", manipulations=(swap,)).changes == (Change(0, Operation.REPLACE, 1),)
    assert plan(**pattern((Operation.REPLACE, "print", "floral"))).changes == (Change(1, Operation.REPLACE, 3, 5),)


def test_a_plan_prints_what_will_be_done() -> None:
    made = plan(
        image=b"12345",
        attributes=(
            AttributeCondition("pattern", ("floral", "print"), Match.ANY, ("tribal",), 2),
            AttributeCondition("collar"),
        ),
        manipulations=(Manipulation("colour", Operation.REPLACE, "red"),),
        filter=Comparison("price", Operator.LESS, 50),
        page_size=5,
    )
    assert str(made).splitlines() == [
        "search snapshot s00000001 for a picture of 5 bytes",
        "  change colour, replace -> red",
        "  attribute pattern, any: floral, print, weight 2, none of: tribal",
        "  attribute collar, as the query, weight 1",
        "  rank by similarity in global space within tiers",
        f"  filter {made.filter}",
        "  hits 1 to 5",
    ]
    assert "12345" not in repr(made)


def test_a_condition_that_only_excludes_does_not_rank() -> None:
    with_query = plan(item_id="a", **collar(excluded_classes=("polo",)))
    assert with_query.ranking == () and with_query.explained == (0, 1, 2)
    assert str(with_query).splitlines()[1:3] == [
        "  attribute collar, none of: polo",
        "  rank by mean similarity over all attributes",
    ]
    without = plan(
        attributes=(AttributeCondition("collar", excluded_classes=("polo",)), AttributeCondition("colour", ("red",)))
    )
    assert [condition.ranks for condition in without.conditions] == [False, True]
    assert without.explained == (2,)


def test_page_sizes() -> None:
    sizes = {asked: plan(item_id="a", page_size=asked).page_size for asked in (0, 1, 1000, 1001, 2**31 - 1)}
    assert sizes == {0: 10, 1: 1, 1000: 1000, 1001: 1000, 2**31 - 1: 1000}


def test_a_token_continues_its_own_request_only() -> None:
    request = SearchRequest(item_id="a", page_size=5)
    token = TOKENS.issue(PageToken("s00000001", request.digest, 5))
    assert plan(item_id="a", page_size=7, page_token=token).offset == 5
    for other in ({"item_id": "b"}, {"item_id": "a", **collar()}, {"image": b"a"}):
        with pytest.raises(RequestError) as caught:
            plan(page_token=token, **other)
        assert (caught.value.reason, caught.value.field) == ("PAGE_TOKEN_MISMATCH", "page_token")


WHOLE = (Operation.REPLACE, "floral")
ADD = (Operation.ADD, "floral")


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        ({}, "QUERY_REQUIRED", ""),
        ({"image": b"x", "item_id": "a"}, "QUERY_AMBIGUOUS", "image"),
        ({"item_id": ""}, "ITEM_ID_INVALID", "item_id"),
        ({"item_id": "a\nb"}, "ITEM_ID_INVALID", "item_id"),
        ({"item_id": "a" * 513}, "TEXT_TOO_LONG", "item_id"),
        (collar(), "QUERY_REQUIRED", "attributes[0].classes"),
        (collar(excluded_classes=("polo",)), "QUERY_REQUIRED", ""),
        ({"attributes": (AttributeCondition("sleeve"),)}, "UNKNOWN_ATTRIBUTE", "attributes[0].attribute"),
        (collar("v-neck", "mao"), "UNKNOWN_CLASS", "attributes[0].classes[1]"),
        (collar("v-neck", excluded_classes=("mao",)), "UNKNOWN_CLASS", "attributes[0].excluded_classes[0]"),
        (collar("v-neck", "v-neck"), "DUPLICATE_CLASS", "attributes[0].classes[1]"),
        (collar("polo", excluded_classes=("polo",)), "CONTRADICTION", "attributes[0].excluded_classes"),
        (collar("polo", weight=0.0), "WEIGHT_INVALID", "attributes[0].weight"),
        (collar("polo", weight=float("nan")), "WEIGHT_INVALID", "attributes[0].weight"),
        (collar("polo", weight=float("inf")), "WEIGHT_INVALID", "attributes[0].weight"),
        (collar("polo", weight=1.7e308), "WEIGHT_INVALID", "attributes[0].weight"),
        (collar("polo", weight=5e-324), "WEIGHT_INVALID", "attributes[0].weight"),
        (collar("x" * 513), "TEXT_TOO_LONG", "attributes[0].classes[0]"),
        ({"attributes": (AttributeCondition("x" * 513),)}, "TEXT_TOO_LONG", "attributes[0].attribute"),
        (pattern((Operation.REPLACE, "x" * 513)), "TEXT_TOO_LONG", "manipulations[0].to_class"),
        (
            {"attributes": (AttributeCondition("collar", ("polo",)),) * 2},
            "DUPLICATE_ATTRIBUTE",
            "attributes[1].attribute",
        ),
        ({"item_id": "a", "page_size": -1}, "PAGE_SIZE_NEGATIVE", "page_size"),
        ({"item_id": "a", "page_token": "x"}, "PAGE_TOKEN_INVALID", "page_token"),
        ({"item_id": "a", "filter": Comparison("x", Operator.LESS, 1)}, "UNKNOWN_COLUMN", "filter.comparison.column"),
        ({**pattern(WHOLE), "item_id": None}, "QUERY_REQUIRED", "manipulations[0]"),
        (
            {"item_id": "a", "manipulations": (Manipulation("sleeve", *WHOLE),)},
            "UNKNOWN_ATTRIBUTE",
            "manipulations[0].attribute",
        ),
        (
            {"item_id": "a", "manipulations": (Manipulation("collar", Operation.ADD, "polo"),)},
            "NOT_MULTI_LABEL",
            "manipulations[0].operation",
        ),
        (pattern((Operation.REPLACE, "mao")), "UNKNOWN_CLASS", "manipulations[0].to_class"),
        (pattern((Operation.REPLACE, "print", "mao")), "UNKNOWN_CLASS", "manipulations[0].from_class"),
        (
            {"item_id": "a", "manipulations": (Manipulation("collar", Operation.REPLACE, "polo", "mao"),)},
            "UNKNOWN_CLASS",
            "manipulations[0].from_class",
        ),
        (pattern((Operation.REPLACE,)), "CLASS_REQUIRED", "manipulations[0].to_class"),
        (pattern((Operation.ADD,)), "CLASS_REQUIRED", "manipulations[0].to_class"),
        (pattern((Operation.REMOVE,)), "CLASS_REQUIRED", "manipulations[0].from_class"),
        (pattern((Operation.REMOVE, "print", "tribal")), "CLASS_UNEXPECTED", "manipulations[0].to_class"),
        (pattern((Operation.ADD, "print", "tribal")), "CLASS_UNEXPECTED", "manipulations[0].from_class"),
        (pattern((Operation.REPLACE, "print", "print")), "CONTRADICTION", "manipulations[0].to_class"),
        (pattern(ADD, WHOLE), "CONTRADICTION", "manipulations[1]"),
        (pattern(ADD, ADD), "CONTRADICTION", "manipulations[1]"),
        (pattern(ADD, (Operation.REMOVE, None, "floral")), "CONTRADICTION", "manipulations[1]"),
        (
            {
                "item_id": "a",
                "manipulations": tuple(Manipulation("collar", *c) for c in ((Operation.REPLACE, "polo"),) * 2),
            },
            "CONTRADICTION",
            "manipulations[1]",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(request_: dict[str, Any], reason: str, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        plan(**request_)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(RequestError, match="unknown attribute 'sleeve'; known: collar, pattern, colour"):
        plan(attributes=(AttributeCondition("sleeve"),))
    with pytest.raises(RequestError, match="no class 'mao'; known: v-neck, round, polo"):
        plan(**collar("mao"))


def test_every_count_has_a_limit() -> None:
    with pytest.raises(RequestError, match="at most 1") as caught:
        plan(Limits(attribute_conditions=1), item_id="a", attributes=tuple(map(AttributeCondition, TAXONOMY.names)))
    assert (caught.value.reason, caught.value.field) == ("TOO_MANY", "attributes")
    with pytest.raises(RequestError) as caught:
        plan(Limits(classes_per_condition=2), **collar("v-neck", "round", excluded_classes=("polo",)))
    assert (caught.value.reason, caught.value.field) == ("TOO_MANY", "attributes[0].classes")
    with pytest.raises(RequestError) as caught:
        plan(Limits(manipulations=1), **pattern(ADD, (Operation.REMOVE, None, "print")))
    assert (caught.value.reason, caught.value.field) == ("TOO_MANY", "manipulations")


def test_names_are_found_in_whatever_form_they_are_spelled() -> None:
    taxonomy = Taxonomy((Attribute("décor", ("rosé", "écru"), multi_label=True),))
    scope = Scope("s", taxonomy, {"größe": pa.int64()}, has_global=True)
    composed = {
        "item_id": "é",
        "attributes": (AttributeCondition("décor", ("rosé",), excluded_classes=("écru",)),),
        "manipulations": (Manipulation("décor", Operation.REPLACE, "rosé", "écru"),),
        "filter": AllOf((Comparison("größe", Operator.LESS, 1), Negated(Membership("größe", (2,))))),
    }
    apart = {
        "item_id": nfd("é"),
        "attributes": (AttributeCondition(nfd("décor"), (nfd("rosé"),), excluded_classes=(nfd("écru"),)),),
        "manipulations": (Manipulation(nfd("décor"), Operation.REPLACE, nfd("rosé"), nfd("écru")),),
        "filter": AllOf((Comparison(nfd("größe"), Operator.LESS, 1), Negated(Membership(nfd("größe"), (2,))))),
    }
    assert replace(plan(scope=scope, **apart), digest="") == replace(plan(scope=scope, **composed), digest="")


def nfd(text: str) -> str:
    result = unicodedata.normalize("NFD", text)
    assert result != text
    return result


@pytest.mark.parametrize("weight", [1e-6, 1e6])
def test_weights_at_their_bounds(weight: float) -> None:
    assert plan(**collar("polo", weight=weight)).conditions[0].weight == weight
    with pytest.raises(RequestError, match=r"weight 2e\+06 is not between 1e-06 and 1e\+06"):
        plan(**collar("polo", weight=2e6))


def test_without_a_global_space_nothing_can_be_manipulated() -> None:
    scope = Scope("s", TAXONOMY, {}, has_global=False)
    with pytest.raises(RequestError) as caught:
        plan(scope=scope, **pattern(WHOLE))
    assert caught.value.reason == "NO_GLOBAL_SPACE"
