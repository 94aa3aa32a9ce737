"""The demo's questions and, since the wardrobe's labels are true by construction, their right answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.search.request import AttributeCondition, Manipulation, SearchRequest

Labels = Mapping[str, frozenset[str]]
_SINGLE = ("category", "collar", "sleeve_length", "hem_length", "pattern", "colour")


@dataclass(frozen=True)
class Question:
    """One search and what a right answer is.

    Args:
        text: as a shopper would ask.
        request: as the service is asked.
        right: whether an item with these labels is what was asked for.
    """

    text: str
    request: SearchRequest
    right: Callable[[Labels], bool]


def questions(catalogue: Mapping[str, Labels], hits: int) -> list[Question]:
    """Attribute, multi-label and manipulation questions about a catalogue (item_id -> labels)."""
    collar = _first(catalogue, lambda labels: labels["collar"] == {"shirt collar"})
    pattern = _first(catalogue, lambda labels: labels["pattern"] == {"flowers"} and labels["colour"] != {"black"})
    changed = _with_target(catalogue)
    target = {**catalogue[changed[0]], changed[1]: frozenset({changed[2]})}
    return [
        Question(
            "The same collar as this one",
            SearchRequest(item_id=collar, attributes=(AttributeCondition("collar"),), page_size=hits),
            lambda labels: labels["collar"] == catalogue[collar]["collar"],
        ),
        Question(
            "The same pattern and the same hem length as this one",
            SearchRequest(
                item_id=pattern,
                attributes=(AttributeCondition("pattern"), AttributeCondition("hem_length")),
                page_size=hits,
            ),
            lambda labels: all(labels[name] == catalogue[pattern][name] for name in ("pattern", "hem_length")),
        ),
        Question(
            "Anything with a belt and a bow and pockets",
            SearchRequest(
                attributes=(AttributeCondition("details", classes=("belt", "bow", "pockets")),), page_size=hits
            ),
            lambda labels: labels["details"] >= {"belt", "bow", "pockets"},
        ),
        Question(
            "A v-neck with stripes, and no buttons",
            SearchRequest(
                attributes=(
                    AttributeCondition("collar", classes=("v-neck",)),
                    AttributeCondition("pattern", classes=("stripes",)),
                    AttributeCondition("details", excluded_classes=("buttons",)),
                ),
                page_size=hits,
            ),
            lambda labels: (
                labels["collar"] == {"v-neck"}
                and labels["pattern"] == {"stripes"}
                and "buttons" not in labels["details"]
            ),
        ),
        Question(
            f"This one, but with {changed[1].replace('_', ' ')} {changed[2]}",
            SearchRequest(
                item_id=changed[0], manipulations=(Manipulation(changed[1], to_class=changed[2]),), page_size=hits
            ),
            lambda labels: all(labels[name] == target[name] for name in _SINGLE),
        ),
    ]


def _first(catalogue: Mapping[str, Labels], test: Callable[[Labels], bool]) -> str:
    return next(item for item, labels in sorted(catalogue.items()) if test(labels))


def _with_target(catalogue: Mapping[str, Labels]) -> tuple[str, str, str]:
    """An (item, attribute, class) such that some other item is exactly the changed one: colour changes first."""
    by_labels = {tuple(labels[name] for name in _SINGLE): item for item, labels in sorted(catalogue.items())}
    colours = sorted({colour for labels in catalogue.values() for colour in labels["colour"]})
    for item, labels in sorted(catalogue.items()):
        for colour in colours:
            wanted = tuple(frozenset({colour}) if name == "colour" else labels[name] for name in _SINGLE)
            if {colour} != labels["colour"] and by_labels.get(wanted, item) != item:
                return item, "colour", colour
    raise AssertionError("the wardrobe's test split holds the single changes of its garments")
