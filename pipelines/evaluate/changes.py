"""Changes of items as queries: an item, and one change in each of some attributes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.manipulation import Change, Operation
from model.taxonomy import Taxonomy

from .embedded import Embedded
from .metrics import Counts


@dataclass(frozen=True)
class ChangeQueries:
    """Q items, each with one change in each of s attributes.

    Attributes:
        attributes: s positions 0..A−1, ascending.
        item: Q positions of the query items.
        added, removed: Q×s class indices; −1 = none is. Replacing in a single-label attribute has both.
    """

    attributes: tuple[int, ...]
    item: Counts
    added: Counts
    removed: Counts

    def __len__(self) -> int:
        return len(self.item)

    def target(self, carried: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """N×ΣM labels -> Q×ΣM bool: what the items carry after their changes."""
        result = carried[self.item]
        for chosen, value in ((self.removed, False), (self.added, True)):
            rows, columns = np.nonzero(chosen >= 0)
            result[rows, chosen[rows, columns]] = value
        return result

    def changes(self, query: int) -> tuple[Change, ...]:
        """The changes of one query, one for each attribute."""
        pairs = zip(self.attributes, self.added[query].tolist(), self.removed[query].tolist(), strict=True)
        return tuple(_change(attribute, added, removed) for attribute, added, removed in pairs)


def change_text(change: Change, taxonomy: Taxonomy) -> str:
    """A change in words: ``crew → polo``, ``+ floral``, ``− dots``."""
    gone, come = (
        "" if index is None else taxonomy.class_name(index)[1] for index in (change.from_class, change.to_class)
    )
    return {
        Operation.REPLACE: f"{gone} → {come}",
        Operation.ADD: f"+ {come}",
        Operation.REMOVE: f"− {gone}",
    }[change.operation]


def single_labels(embedded: Embedded) -> Counts:
    """N×S: the class index of each single-label attribute, −1 = unknown."""
    taxonomy = embedded.taxonomy
    columns = []
    for n in single_label_attributes(taxonomy):
        part = embedded.carried[:, taxonomy.span(n)]
        columns.append(np.where(part.any(1) & embedded.known[:, n], part.argmax(1) + taxonomy.offsets[n], -1))
    return np.stack(columns, 1) if columns else np.empty((len(embedded), 0), np.int64)


def single_label_attributes(taxonomy: Taxonomy) -> list[int]:
    """Positions of the attributes whose items carry one class."""
    return [n for n, attribute in enumerate(taxonomy.attributes) if not attribute.multi_label]


def _change(attribute: int, added: int, removed: int) -> Change:
    if added < 0:
        return Change(attribute, Operation.REMOVE, from_class=removed)
    if removed < 0:
        return Change(attribute, Operation.ADD, to_class=added)
    return Change(attribute, Operation.REPLACE, to_class=added, from_class=removed)
