"""Why a hit is there, in words: for the table of ``duet search`` and for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from model.manipulation import Operation
from pipelines.search.plan import QueryKind
from pipelines.search.request import AttributeCondition, Manipulation, Match, SearchRequest
from pipelines.search.result import Contribution, Hit


def reason(hit: Hit) -> str:
    """One line per attribute that has something to say."""
    return "\n".join(contribution_text(one) for one in hit.contributions)


def contribution_text(one: Contribution) -> str:
    """``pattern 0.83: tribal 97%, print 88%``; with a change of the query ``colour (−red +black) 0.41: black 91%``."""
    changes = [*(f"−{name}" for name in one.removed), *(f"+{name}" for name in one.added)]
    change = f" ({' '.join(changes)})" if changes else ""
    matched = ", ".join(f"{match.name} {match.probability:.0%}" for match in one.matched)
    return f"{one.attribute}{change} {one.similarity:.2f}" + (f": {matched}" if matched else "")


def condition_text(condition: AttributeCondition) -> str:
    """What the items should have of an attribute."""
    joint = " and " if condition.match is Match.ALL else " or "
    text = joint.join(condition.classes) or ("as the query" if not condition.excluded_classes else "")
    excluded = "not " + ", ".join(condition.excluded_classes) if condition.excluded_classes else ""
    return ", ".join(filter(None, (text, excluded)))


def change_text(change: Manipulation, removed: Sequence[str] = ()) -> str:
    """What changes of an attribute: ``−red +black``.

    Args:
        change: as it was asked.
        removed: what went, for a change that does not say it (`Contribution.removed`).
    """
    if change.from_class:
        removed = (change.from_class,)
    signs = [f"−{name}" for name in removed if change.operation is not Operation.ADD]
    return " ".join([*signs, f"+{change.to_class}"] if change.to_class else signs)


def query_kind(request: SearchRequest) -> QueryKind:
    """Where the query's vectors come from."""
    if request.image is not None:
        return QueryKind.IMAGE
    return QueryKind.PROTOTYPES if request.item_id is None else QueryKind.ITEM


def metadata_text(metadata: Mapping[str, Any]) -> str:
    """``brand Acme, price 49``."""
    return ", ".join(f"{column} {_short(value)}" for column, value in sorted(metadata.items()))


def _short(value: Any) -> str:
    if isinstance(value, datetime):
        midnight = (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0)
        return value.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M")
    return f"{value:g}" if isinstance(value, float) else str(value)
