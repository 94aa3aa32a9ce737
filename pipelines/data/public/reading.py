"""What a reader gives: a stream of items, and of roles and triplets where the set has its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from .journal import Journal
from .place import Place
from .settings import ImportSettings

S = TypeVar("S", bound=ImportSettings)


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the manifest.

    Args:
        item_id: unique within the set.
        image_uri: of the picture, below the reading's root.
        place: file and line, for the report.
        split: train, val or test; None = of none.
        labels: attribute -> classes; an attribute that is not there is unknown.
    """

    item_id: str
    image_uri: str
    place: str
    split: str | None = None
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Role:
    """An item's part in the retrieval evaluation of one attribute, as the set's own lists have it."""

    item_id: str
    attribute: str
    role: Literal["query", "gallery"]
    label: str
    place: str


@dataclass(frozen=True, slots=True)
class Triplet:
    """By this attribute, the anchor is nearer to the positive than to the negative (item ids)."""

    split: str
    attribute: str
    anchor: str
    positive: str
    negative: str
    place: str


@dataclass(frozen=True)
class Reading:
    """A data set, opened. The streams are read once, in this order; `total` items are expected, for the progress."""

    attributes: tuple[str, ...]
    root: Path
    total: int
    items: Iterator[Item]
    roles: Iterator[Role] | None = None
    triplets: Iterator[Triplet] | None = None


@dataclass(frozen=True)
class DataSet(Generic[S]):
    """A set that can be imported.

    Args:
        name: on the command line.
        text: what it is, a line.
        obtained: where its files come from.
        settings: options of its import.
        read: opens it. Raises `ManifestError` for a file that is missing or something else.
    """

    name: str
    text: str
    obtained: str
    settings: type[S]
    read: Callable[[Place, S, Journal], Reading]


AnyDataSet = DataSet[Any]


def split_by_hash(key: str) -> str:
    """A split for sets that come without: 80 % train, 10 % val, 10 % test, by the SHA-256 of a key."""
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 10
    return {8: "val", 9: "test"}.get(place, "train")
