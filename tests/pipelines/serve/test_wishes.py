from __future__ import annotations

import pytest

from model.manipulation import Operation
from model.taxonomy import Attribute, Taxonomy
from pipelines.errors import RequestError
from pipelines.search.request import AttributeCondition, Manipulation, Match
from pipelines.serve.wishes import read_changes, read_conditions

TAXONOMY = Taxonomy(
    (
        Attribute("collar", ("v-neck", "round")),
        Attribute("neck-line", ("deep", "high")),
        Attribute("neck", ("line", "slim")),
        Attribute("dècor", ("rosé", "écru")),
        Attribute("pattern", ("print", "tribal", "black|white", "dots, small", "a=b"), multi_label=True),
    )
)
ANY = Match.ANY


@pytest.mark.parametrize(
    ("texts", "conditions"),
    [
        (["collar"], [AttributeCondition("collar")]),
        (["collar=v-neck"], [AttributeCondition("collar", ("v-neck",))]),
        (["pattern=print, tribal"], [AttributeCondition("pattern", ("print", "tribal"))]),
        (["pattern=print|tribal"], [AttributeCondition("pattern", ("print", "tribal"), ANY)]),
        (["pattern=black|white"], [AttributeCondition("pattern", ("black|white",))]),
        (["pattern=dots, small"], [AttributeCondition("pattern", ("dots, small",))]),
        (["pattern=a=b"], [AttributeCondition("pattern", ("a=b",))]),
        (["pattern!=print,tribal"], [AttributeCondition("pattern", excluded_classes=("print", "tribal"))]),
        (
            ["pattern=print", "pattern!=tribal"],
            [AttributeCondition("pattern", ("print",), excluded_classes=("tribal",))],
        ),
        (["neck-line=deep", "neck"], [AttributeCondition("neck-line", ("deep",)), AttributeCondition("neck")]),
        (["de\u0300cor=rose\u0301|e\u0301cru"], [AttributeCondition("dècor", ("rosé", "écru"), ANY)]),
        (["collar=mao"], [AttributeCondition("collar", ("mao",))]),  # the server knows what it does not know
    ],
)
def test_conditions(texts: list[str], conditions: list[AttributeCondition]) -> None:
    assert list(read_conditions(texts, TAXONOMY)) == conditions


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("collar=round", Manipulation("collar", Operation.REPLACE, "round")),
        ("collar = v-neck", Manipulation("collar", Operation.REPLACE, "v-neck")),
        ("pattern=print>tribal", Manipulation("pattern", Operation.REPLACE, "tribal", "print")),
        ("pattern+print", Manipulation("pattern", Operation.ADD, "print")),
        ("pattern-print", Manipulation("pattern", Operation.REMOVE, None, "print")),
        ("collar-v-neck", Manipulation("collar", Operation.REMOVE, None, "v-neck")),
        ("neck-line=deep>high", Manipulation("neck-line", Operation.REPLACE, "high", "deep")),
        ("neck-line=dep", Manipulation("neck-line", Operation.REPLACE, "dep")),
        ("neck-line-deep", Manipulation("neck-line", Operation.REMOVE, None, "deep")),
        ("neck-slim", Manipulation("neck", Operation.REMOVE, None, "slim")),
        ("neck-line=high", Manipulation("neck-line", Operation.REPLACE, "high")),
        ("de\u0300cor=rose\u0301", Manipulation("dècor", Operation.REPLACE, "rosé")),
        ("pattern+mao", Manipulation("pattern", Operation.ADD, "mao")),
    ],
)
def test_changes(text: str, change: Manipulation) -> None:
    assert read_changes([text], TAXONOMY) == (change,)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["pattern=print|tribal", "pattern=a=b"], "has classes already"),
        (["pattern=a=b", "pattern=print|tribal"], "has classes already"),
        (["pattern=print|tribal", "pattern=a=b|print"], "has classes already"),
        (["collar", "collar!=round"], "only excludes"),
        (["collar!=round", "collar"], "only excludes"),
    ],
)
def test_texts_that_no_condition_says_together(texts: list[str], why: str) -> None:
    with pytest.raises(RequestError, match=why) as no:
        read_conditions(texts, TAXONOMY)
    assert no.value.reason == "CONDITION_SYNTAX"


@pytest.mark.parametrize("text", ["", "sleeve=long", "=", "!=print", "collars"])
def test_what_begins_with_no_attribute_lists_them(text: str) -> None:
    with pytest.raises(RequestError, match="known: collar, neck-line, neck, dècor, pattern"):
        read_conditions([text], TAXONOMY)
    with pytest.raises(RequestError, match="known: collar"):
        read_changes([text], TAXONOMY)


def test_a_change_says_what_changes() -> None:
    with pytest.raises(RequestError, match="does not say what changes: collar=CLASS"):
        read_changes(["collar"], TAXONOMY)
