"""How many rows, labels, roles and triplets an import wrote."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .reading import Item, Role, Triplet


class Counts:
    """Grows with each row that is written."""

    def __init__(self, attributes: tuple[str, ...]) -> None:
        self.rows = 0
        self.splits: Counter[str] = Counter()
        self.labelled: dict[str, Counter[str]] = {name: Counter() for name in attributes}
        self.classes: dict[str, Counter[str]] = {name: Counter() for name in attributes}
        self.roles: Counter[tuple[str, str]] = Counter()
        self.triplets: Counter[tuple[str, str]] = Counter()

    def item(self, item: Item) -> None:
        """Count an item."""
        split = item.split or ""
        self.rows += 1
        self.splits[split] += 1
        for name, classes in item.labels.items():
            if classes:
                self.labelled[name][split] += 1
                self.classes[name].update(set(classes))

    def role(self, role: Role) -> None:
        """Count a role."""
        self.roles[role.role, role.attribute] += 1

    def triplet(self, triplet: Triplet) -> None:
        """Count a triplet."""
        self.triplets[triplet.split, triplet.attribute] += 1

    def to_json(self) -> dict[str, Any]:
        """``rows``, ``splits``, ``attributes`` (labelled rows per split, rows per class), ``roles``, ``triplets``."""
        return {
            "rows": self.rows,
            "splits": dict(self.splits),
            "attributes": {
                name: {"labelled": dict(self.labelled[name]), "classes": dict(self.classes[name].most_common())}
                for name in self.labelled
            },
            "roles": _nested(self.roles),
            "triplets": _nested(self.triplets),
        }


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (outer, inner), count in counts.items():
        nested.setdefault(outer, {})[inner] = count
    return nested
