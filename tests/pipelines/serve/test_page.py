from __future__ import annotations

from html.parser import HTMLParser

from model.manipulation import Operation
from pipelines.search.filters import AllOf, AnyOf, Comparison, Membership, Negated, Operator
from pipelines.search.request import AttributeCondition, Manipulation, Match, SearchRequest
from pipelines.search.result import ClassProbability, Contribution, Hit, Item, SearchResult
from pipelines.serve.page import build_page, filter_text

from .shop import picture

EVIL = "<script>alert('x')</script>\"' onerror=alert(1) </style>"


class Page(HTMLParser):
    """Tags, attributes' names, and the text outside of style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attributes}

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"] and data.strip():
            self.text.append(data.strip())


def result(*hits: Hit) -> SearchResult:
    return SearchResult(hits, 1234, True, EVIL, EVIL, {"rank": 0.01}, "")


def test_what_a_catalogue_says_is_text() -> None:
    contribution = Contribution(EVIL, 0.5, None, (ClassProbability(EVIL, 0.9),), (EVIL,), (EVIL, "other"))
    hit = Hit(1, 1, 0.5, EVIL, EVIL, {EVIL: EVIL}, (contribution,))
    request = SearchRequest(
        item_id=EVIL,
        attributes=(AttributeCondition(EVIL, (EVIL,), excluded_classes=(EVIL,)),),
        manipulations=(Manipulation(EVIL, Operation.REPLACE, EVIL, EVIL),),
        filter=Comparison(EVIL, Operator.EQUAL, EVIL),
    )
    page = Page(build_page(request, result(hit), {EVIL: Item(EVIL, thumbnail=EVIL.encode())}, Item(EVIL)))
    assert "script" not in page.tags and not {name for name in page.names if name.startswith("on")}
    assert page.tags.count("style") == 1 and page.tags.count("aside") == 1
    assert page.text.count(EVIL) >= 4


def test_the_page_tells_what_was_asked_and_why_a_hit_is_there() -> None:
    request = SearchRequest(
        image=picture(1),
        attributes=(
            AttributeCondition("pattern", ("print", "tribal"), Match.ANY, ("dots",)),
            AttributeCondition("collar"),
        ),
        manipulations=(Manipulation("colour", Operation.REPLACE, "black"),),
        filter=Comparison("price", Operator.LESS, 50),
    )
    contributions = (
        Contribution("pattern", 0.25, 0.75, (ClassProbability("print", 0.97),)),
        Contribution("colour", 0.5, None, (), ("red",), ("black",)),
    )
    hits = (Hit(1, 1, 0.625, "dress", "", {"price": 49.0, "brand": "Acme"}, contributions), Hit(2, 0, 0.5, "coat"))
    page = Page(build_page(request, result(*hits), {"dress": Item("dress", thumbnail=picture(2))}, None))
    for text in (
        *(
            "Your picture",
            "colour",
            "−red +black",
            "pattern",
            "print or tribal, not dots",
            "as the query",
            "price < 50",
        ),
        *("1,234", "exact", "10 ms", "With 1 wanted class", "Without any wanted class", "0.625", "97%", "0.75", "0.50"),
        *("dress", "brand Acme, price 49", "no picture"),
    ):
        assert text in page.text, text
    assert page.tags.count("img") == 2 and page.tags.count("li") >= 2


def test_no_hits_are_said_to_be_none() -> None:
    request = SearchRequest(attributes=(AttributeCondition("pattern", ("print",)),))
    page = Page(build_page(request, result(), {}, None))
    assert "Nothing passes the filter and the excluded classes." in page.text and "Attributes alone" in page.text


def test_filters_for_people() -> None:
    price, brand = Comparison("price", Operator.LESS, 5), Membership("brand", ("a", "b"))
    assert (
        filter_text(Negated(AnyOf((price, AllOf((brand, price))))))
        == "not (price < 5 or (brand in (a, b) and price < 5))"
    )
