"""A search request as it was asked: names, not yet checked against any taxonomy. `planner.make_plan` checks it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

from model.manipulation import Operation

from .filters import Filter


class Match(StrEnum):
    """How an item's tier follows from the wanted classes it carries."""

    ALL = "all"  # the number of them
    ANY = "any"  # one tier for carrying any


@dataclass(frozen=True)
class AttributeCondition:
    """What the items should have of one attribute.

    Args:
        attribute: its name.
        classes: wanted; none = those that the query is predicted to carry, unless the condition only excludes.
        match: how the tier follows from them.
        excluded_classes: an item that carries one of these is no candidate.
        weight: of this condition's similarity among several, 1e-6 to 1e6.
    """

    attribute: str
    classes: tuple[str, ...] = ()
    match: Match = Match.ALL
    excluded_classes: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Manipulation:
    """A change of one attribute of the query.

    Args:
        attribute: its name.
        operation: REPLACE puts ``to_class`` in the place of ``from_class`` (None, or an attribute of which an item
            has one class: of whatever the query has), ADD adds ``to_class``, REMOVE takes ``from_class`` away.
        to_class: the class that comes.
        from_class: the class that goes.
    """

    attribute: str
    operation: Operation = Operation.REPLACE
    to_class: str | None = None
    from_class: str | None = None


@dataclass(frozen=True)
class SearchRequest:
    """What is asked.

    Args:
        image: an encoded picture; at most one of ``image``, ``image_uri`` and ``item_id``.
        image_uri: where a picture lies, which a server reads below its roots; an engine is given the picture beside it.
        item_id: an item of the snapshot, which is itself left out of the answer.
        attributes: at most one condition per attribute.
        manipulations: changes of the query, all of them together.
        filter: condition on metadata.
        page_size: hits, 0 = the default.
        page_token: of the page before.
        snapshot: id; "" = the published one.
        group_by: metadata column; of the items that share its value only the best is a hit. "" = none.
        exact: compare every candidate, whatever it costs.
        validate_only: check and plan, and search nothing.
    """

    image: bytes | None = None
    item_id: str | None = None
    attributes: tuple[AttributeCondition, ...] = ()
    manipulations: tuple[Manipulation, ...] = ()
    filter: Filter | None = None
    page_size: int = 0
    page_token: str = ""
    snapshot: str = ""
    group_by: str = ""
    exact: bool = False
    validate_only: bool = False
    image_uri: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides the ranking: everything but where the page begins and ends."""
        picture = b"" if self.image is None else hashlib.sha256(self.image).digest()
        plain = replace(self, image=picture, image_uri=None, page_size=0, page_token="", validate_only=False)
        return hashlib.sha256(repr(plain).encode()).hexdigest()
