"""Which single changes of which items are asked: those whose target exists in the gallery (design 3).

A change of a single-label attribute asks for the item with all its other single-label attributes as they are; the
target exists if an item of the gallery, not the query, has exactly that combination. Multi-label sets have no
equality: a change there adds or removes one class, and its target exists if another item carries the whole set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.manipulation import Change, Operation
from model.taxonomy import Taxonomy

from .embedded import Embedded
from .metrics import Counts
from .roles import Roles
from .sampling import sample

_ROWS = 512  # query sets compared with all gallery sets at once


@dataclass(frozen=True)
class ChangeQueries:
    """Q (item, change) pairs of one attribute.

    Attributes:
        attribute: position 0..A−1.
        item: Q positions of the query items.
        added, removed: Q class indices; −1 = none is. Replacing in a single-label attribute has both.
        available: pairs there are, of which these are a sample.
    """

    attribute: int
    item: Counts
    added: Counts
    removed: Counts
    available: int

    def __len__(self) -> int:
        return len(self.item)

    def target(self, carried: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """N×ΣM labels -> Q×ΣM bool: what the items carry after their change."""
        result = carried[self.item]
        for chosen, value in ((self.removed, False), (self.added, True)):
            rows = np.flatnonzero(chosen >= 0)
            result[rows, chosen[rows]] = value
        return result

    def change(self, query: int) -> Change:
        """The change of one query."""
        added, removed = int(self.added[query]), int(self.removed[query])
        if added < 0:
            return Change(self.attribute, Operation.REMOVE, from_class=removed)
        if removed < 0:
            return Change(self.attribute, Operation.ADD, to_class=added)
        return Change(self.attribute, Operation.REPLACE, to_class=added, from_class=removed)


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


def find_changes(embedded: Embedded, attribute: int, roles: Roles, limit: int, seed: int) -> ChangeQueries:
    """At most `limit` of the pairs of one attribute, sampled with the seed."""
    if embedded.taxonomy.attributes[attribute].multi_label:
        return _additions_and_removals(embedded, attribute, roles, limit, seed)
    return _replacements(embedded, attribute, roles, limit, seed)


def _replacements(embedded: Embedded, attribute: int, roles: Roles, limit: int, seed: int) -> ChangeQueries:
    labels = single_labels(embedded)
    place = single_label_attributes(embedded.taxonomy).index(attribute)
    span = embedded.taxonomy.span(attribute)
    complete = np.flatnonzero((labels >= 0).all(1))
    rest = np.unique(np.delete(labels[complete], place, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    own = labels[complete, place] - span.start
    # Which classes the gallery has beside each combination of the other attributes.
    present = np.zeros((rest.max(initial=-1) + 1, span.stop - span.start), bool)
    candidate = roles.gallery[complete, attribute]
    present[rest[candidate], own[candidate]] = True
    possible = present[rest]
    possible[np.arange(len(complete)), own] = False
    possible[~roles.query[complete, attribute]] = False
    row, local = possible.nonzero()
    available = len(row)
    chosen = sample(available, limit, seed)
    row, local = row[chosen], local[chosen]
    return ChangeQueries(attribute, complete[row], local + span.start, own[row] + span.start, available)


def _additions_and_removals(embedded: Embedded, attribute: int, roles: Roles, limit: int, seed: int) -> ChangeQueries:
    span = embedded.taxonomy.span(attribute)
    carried = embedded.carried[:, span]
    labelled = embedded.known[:, attribute] & carried.any(1)
    queries = np.flatnonzero(labelled & roles.query[:, attribute])
    candidate = labelled & roles.gallery[:, attribute]
    sets, kind = np.unique(carried[queries], axis=0, return_inverse=True)
    gallery, counts = np.unique(carried[candidate], axis=0, return_counts=True)
    add, remove = _reachable(sets, gallery, counts.astype(np.float32))
    kind = kind.reshape(-1)
    # A query that is in the gallery carries its own set less a class: another item must do so, too.
    possible = np.concatenate([add[kind] > 0, remove[kind] > candidate[queries, None]], 1)
    row, column = possible.nonzero()
    available = len(row)
    chosen = sample(available, limit, seed)
    row, column = row[chosen], column[chosen]
    width = span.stop - span.start
    added = np.where(column < width, column + span.start, -1)
    removed = np.where(column < width, -1, column - width + span.start)
    return ChangeQueries(attribute, queries[row], added, removed, available)


def _reachable(
    sets: NDArray[np.bool_], gallery: NDArray[np.bool_], counts: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For U class sets: how many gallery items carry the set plus (U×M) and less (U×M) a class; 0 = no such change."""
    theirs = gallery.astype(np.float32)
    add, remove = np.zeros(sets.shape, np.float32), np.zeros(sets.shape, np.float32)
    for start in range(0, len(sets), _ROWS):
        part = slice(start, start + _ROWS)
        mine = sets[part].astype(np.float32)
        size = mine.sum(1, keepdims=True)
        shared = mine @ theirs.T
        whole = (shared == size) * counts
        lacking_one = (shared == size - 1) * counts
        add[part] = (whole @ theirs) * (1 - mine)
        # Whoever carries all but one of the set, and not m, lacks just m.
        remove[part] = (whole.sum(1, keepdims=True) + lacking_one @ (1 - theirs)) * mine * (size > 1)
    return add, remove
