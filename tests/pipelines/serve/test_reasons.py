from __future__ import annotations

from datetime import UTC, datetime

from model.manipulation import Operation
from pipelines.search.request import AttributeCondition, Manipulation, Match
from pipelines.search.result import ClassProbability, Contribution, Hit
from pipelines.serve.reasons import change_text, condition_text, metadata_text, reason


def test_a_reason_has_a_line_per_attribute() -> None:
    matched = (ClassProbability("tribal", 0.971), ClassProbability("print", 0.5))
    contributions = (
        Contribution("pattern", 0.833, 0.9, matched),
        Contribution("colour", -0.04, None, (), ("red",), ("black",)),
        Contribution("collar", 1.0),
    )
    assert reason(Hit(1, 1, 0.5, "a", contributions=contributions)).splitlines() == [
        "pattern 0.83: tribal 97%, print 50%",
        "colour (−red +black) -0.04",
        "collar 1.00",
    ]


def test_wishes_in_words() -> None:
    assert condition_text(AttributeCondition("a")) == "as the query"
    assert condition_text(AttributeCondition("a", ("b", "c"))) == "b and c"
    assert condition_text(AttributeCondition("a", ("b", "c"), Match.ANY, ("d", "e"))) == "b or c, not d, e"
    assert condition_text(AttributeCondition("a", excluded_classes=("d",))) == "not d"


def test_changes_in_words() -> None:
    assert change_text(Manipulation("a", Operation.REPLACE, "b")) == "+b"
    assert change_text(Manipulation("a", Operation.REPLACE, "b"), ("c",)) == "−c +b"
    assert change_text(Manipulation("a", Operation.REPLACE, "b", "d"), ("c", "d")) == "−d +b"
    assert change_text(Manipulation("a", Operation.ADD, "b"), ("c",)) == "+b"
    assert change_text(Manipulation("a", Operation.REMOVE, None, "b"), ("b",)) == "−b"


def test_metadata_in_words() -> None:
    moments = {"b": datetime(2024, 1, 2, tzinfo=UTC), "a": datetime(2024, 1, 2, 3, 4, tzinfo=UTC)}
    assert metadata_text(moments) == "a 2024-01-02 03:04, b 2024-01-02"
    assert metadata_text({"x": 49.0, "y": "z", "n": 3}) == "n 3, x 49, y z"
