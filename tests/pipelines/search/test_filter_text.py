from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import RequestError
from pipelines.search.filter_text import parse_filter
from pipelines.search.filters import AllOf, AnyOf, Comparison, Filter, Membership, Negated, Operator

PRICE = Comparison("price", Operator.LESS, 50)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("price<50", PRICE),
        ("  price  <  50 ", PRICE),
        ("price<5.5e1", Comparison("price", Operator.LESS, 55.0)),
        ("price>=-3", Comparison("price", Operator.GREATER_OR_EQUAL, -3)),
        ("price==.5", Comparison("price", Operator.EQUAL, 0.5)),
        ("brand=Acme", Comparison("brand", Operator.EQUAL, "Acme")),
        ("brand!='O''Brien'", Comparison("brand", Operator.NOT_EQUAL, "O'Brien")),
        ('brand="a ""b"" <= c"', Comparison("brand", Operator.EQUAL, 'a "b" <= c')),
        ("size='38'", Comparison("size", Operator.EQUAL, "38")),
        ("added>2024-01-31", Comparison("added", Operator.GREATER, "2024-01-31")),
        ("added>2024-01-31T10:00:00+01:00", Comparison("added", Operator.GREATER, "2024-01-31T10:00:00+01:00")),
        ("sale=True", Comparison("sale", Operator.EQUAL, True)),
        ("sale='true'", Comparison("sale", Operator.EQUAL, "true")),
        ("`list price`<50", Comparison("list price", Operator.LESS, 50)),
        ("größe=ünlü", Comparison("größe", Operator.EQUAL, "ünlü")),
        ("size in (38, '40', 4x)", Membership("size", (38, "40", "4x"))),
        ("not price<50", Negated(PRICE)),
        ("NOT not (price<50)", Negated(Negated(PRICE))),
        ("price<50 and price<50 and price<50", AllOf((PRICE, PRICE, PRICE))),
        ("price<50 or price<50 and not price<50", AnyOf((PRICE, AllOf((PRICE, Negated(PRICE)))))),
        ("(price<50 or price<50) and price<50", AllOf((AnyOf((PRICE, PRICE)), PRICE))),
    ],
)
def test_reads(text: str, tree: Filter) -> None:
    assert parse_filter(text) == tree
    assert repr(parse_filter(text)) == repr(tree)  # 1 == True == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a column at the end"),
        ("price", "expected an operator at the end"),
        ("price<", "expected a value at the end"),
        ("price<<5", "expected a value at character 7"),
        ("price ~ 5", "cannot be read at character 6"),
        ("price 5", "or one of =, !=, <, <=, >, >= at character 7"),
        ("(price<5", "expected `)` at the end"),
        ("price<5 price<6", "expected `and`, `or` or the end at character 9"),
        ("5<price", "expected a column at character 1"),
        ("size in 38", "expected `(` at character 9"),
        ("brand='Acme", "cannot be read"),
        ("(" * 500 + "price<5", "nested too deeply"),
        ("not " * 5000 + "price<5", "nested too deeply"),
    ],
)
def test_says_where_it_stopped_reading(text: str, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_filter(text)
    assert message in str(caught.value) and caught.value.reason == "FILTER_SYNTAX"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet="ab1.-<>=!'\"`() ,andornot", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(RequestError):  # anything else would be a fault
        parse_filter(text)
