"""A garment as words: its attributes, how one is drawn at random, and how one attribute of it is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from numpy.random import Generator

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "category": ("coat", "dress", "jumper", "jumpsuit", "shirt", "tunic"),
        "collar": ("hood", "round", "shirt collar", "square", "turtleneck", "v-neck"),
        "sleeve_length": ("long", "short", "sleeveless", "three-quarter"),
        "hem_length": ("ankle", "hip", "knee"),
        "pattern": ("checks", "dots", "flowers", "plain", "stripes", "zigzag"),
        "colour": ("black", "blue", "brown", "green", "grey", "pink", "purple", "red", "white", "yellow"),
        "details": ("badge", "belt", "bow", "buttons", "frill", "pockets", "trim"),
    }
)
"""Attribute -> classes. All but ``details`` take exactly one."""

_DETAIL_COUNTS = (0.3, 0.35, 0.25, 0.1)  # how often a garment has 1, 2, 3, 4 details; one without would look unlabelled


@dataclass(frozen=True)
class Garment:
    """One garment: a class of each single-label attribute, and one or more details (sorted)."""

    category: str
    collar: str
    sleeve_length: str
    hem_length: str
    pattern: str
    colour: str
    details: tuple[str, ...]

    def labels(self) -> dict[str, list[str]]:
        """Attribute -> classes, as a manifest has them."""
        values = {name: getattr(self, name) for name in CLASSES}
        return {name: list(value) if isinstance(value, tuple) else [value] for name, value in values.items()}

    def title(self) -> str:
        """What a shop would call it."""
        pattern = "" if self.pattern == "plain" else f"{self.pattern} "
        return f"{self.colour.capitalize()} {pattern}{self.category}, {self.collar}, {self.hem_length} length"


def sample_garment(rng: Generator) -> Garment:
    """A garment with every attribute drawn independently and uniformly."""
    single = {name: _choose(classes, rng) for name, classes in CLASSES.items() if name != "details"}
    count = 1 + int(rng.choice(len(_DETAIL_COUNTS), p=_DETAIL_COUNTS))
    details = rng.choice(CLASSES["details"], count, replace=False)
    return Garment(**single, details=tuple(sorted(map(str, details))))


def change_garment(garment: Garment, attribute: str, rng: Generator) -> Garment:
    """The garment with another class of one attribute; of ``details``, one is added, removed or replaced."""
    if attribute != "details":
        others = [name for name in CLASSES[attribute] if name != getattr(garment, attribute)]
        values: dict[str, Any] = {attribute: _choose(others, rng)}
        return replace(garment, **values)
    absent = [name for name in CLASSES["details"] if name not in garment.details]
    operation = _choose(("add", "remove", "replace") if len(garment.details) > 1 else ("add", "replace"), rng)
    details = set(garment.details)
    if operation != "add":
        details.remove(_choose(garment.details, rng))
    if operation != "remove":
        details.add(_choose(absent, rng))
    return replace(garment, details=tuple(sorted(details)))


def _choose(options: tuple[str, ...] | list[str], rng: Generator) -> str:
    return options[int(rng.integers(len(options)))]
