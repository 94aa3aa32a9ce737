"""Taxonomy: the ordered attributes with their ordered classes.

A class has two addresses: (attribute, class) by name, and its *class index* 0..ΣM−1, its position when the
classes of all attributes are laid one after the other. Tensors over classes use the latter.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .errors import TaxonomyError

_NAME_LIMIT = 256


@dataclass(frozen=True)
class Attribute:
    """One attribute and its classes.

    Args:
        name: unique within the taxonomy; any text without control characters, at most 256 characters.
        classes: at least one, unique, ordered.
        multi_label: whether one item may carry several classes of it at once.
    """

    name: str
    classes: tuple[str, ...]
    multi_label: bool = False

    def __post_init__(self) -> None:
        if not self.classes:
            raise TaxonomyError(f"attribute {self.name!r} has no classes")
        if len(set(self.classes)) != len(self.classes):
            raise TaxonomyError(f"attribute {self.name!r} lists a class twice: {list(self.classes)}")
        for text in (self.name, *self.classes):
            check_name(text)


def check_name(text: str) -> str:
    """Return ``text`` if it may name an attribute or a class; raise `TaxonomyError` otherwise."""
    if not isinstance(text, str) or not text.strip():
        raise TaxonomyError(f"an attribute or class name is empty: {text!r}")
    if len(text) > _NAME_LIMIT:
        raise TaxonomyError(f"the name {text[:40]!r}… has {len(text)} characters; at most {_NAME_LIMIT}")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise TaxonomyError(f"the name {text!r} has a control character")
    return text


@dataclass(frozen=True)
class Taxonomy:
    """The ordered attributes. Its `digest` is part of an encoder's identity."""

    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        if not self.attributes:
            raise TaxonomyError("a taxonomy needs at least one attribute")
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) != len(names):
            raise TaxonomyError(f"the taxonomy lists an attribute twice: {names}")

    @property
    def names(self) -> tuple[str, ...]:
        """Attribute names, in order."""
        return tuple(attribute.name for attribute in self.attributes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """A+1 numbers: the classes of attribute n have the indices offsets[n] .. offsets[n+1]−1."""
        ends = [0]
        for attribute in self.attributes:
            ends.append(ends[-1] + len(attribute.classes))
        return tuple(ends)

    @property
    def class_count(self) -> int:
        """ΣM, the number of classes of all attributes."""
        return self.offsets[-1]

    @cached_property
    def attribute_of_class(self) -> tuple[int, ...]:
        """ΣM numbers: the attribute's position of each class index."""
        return tuple(n for n, attribute in enumerate(self.attributes) for _ in attribute.classes)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: n for n, name in enumerate(self.names)}

    @cached_property
    def _class_indices(self) -> dict[tuple[str, str], int]:
        return {
            (attribute.name, name): self.offsets[n] + m
            for n, attribute in enumerate(self.attributes)
            for m, name in enumerate(attribute.classes)
        }

    def position(self, attribute: str) -> int:
        """Position of an attribute, 0..A−1. Raises `TaxonomyError` with the known names."""
        try:
            return self._positions[attribute]
        except KeyError:
            raise TaxonomyError(f"unknown attribute {attribute!r}; known: {', '.join(self.names)}") from None

    def attribute(self, name: str) -> Attribute:
        """The attribute of that name."""
        return self.attributes[self.position(name)]

    def class_index(self, attribute: str, name: str) -> int:
        """Class index 0..ΣM−1 of (attribute, class). Raises `TaxonomyError` with the known classes."""
        try:
            return self._class_indices[attribute, name]
        except KeyError:
            known = ", ".join(self.attribute(attribute).classes[:40])
            raise TaxonomyError(f"attribute {attribute!r} has no class {name!r}; known: {known}") from None

    def class_name(self, index: int) -> tuple[str, str]:
        """(attribute, class) of a class index."""
        n = self.attribute_of_class[index]
        return self.attributes[n].name, self.attributes[n].classes[index - self.offsets[n]]

    def span(self, n: int) -> slice:
        """The class indices of the n-th attribute, as a slice."""
        return slice(self.offsets[n], self.offsets[n + 1])

    def encode(self, labels: Mapping[str, Iterable[str]]) -> tuple[list[int], list[int]]:
        """One item's labels as (class indices it carries, positions of the attributes it is labelled for).

        An attribute that is absent or empty is *unknown*, never *none of them*.
        """
        carried: list[int] = []
        known: list[int] = []
        for n, name in enumerate(self.names):
            values = list(labels.get(name) or ())
            if values:
                known.append(n)
                carried.extend(sorted({self.class_index(name, value) for value in values}))
        return carried, known

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "attributes": [
                {"name": a.name, "classes": list(a.classes), "multi_label": a.multi_label} for a in self.attributes
            ]
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Taxonomy:
        """Read what `to_json` wrote; raises `TaxonomyError` if it is something else."""
        try:
            entries: Sequence[Mapping[str, Any]] = value["attributes"]
            return cls(
                tuple(Attribute(e["name"], tuple(e["classes"]), bool(e.get("multi_label", False))) for e in entries)
            )
        except (KeyError, TypeError) as error:
            raise TaxonomyError(
                'a taxonomy is {"attributes": [{"name": …, "classes": […], "multi_label": false}, …]}; '
                f"this one lacks {error}"
            ) from error

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
