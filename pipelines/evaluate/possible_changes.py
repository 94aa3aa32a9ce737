"""Which changes of which items are asked: those whose target exists in the gallery (design 3).

Of a set of attributes all change at once: in a single-label one the item's class is replaced, in a multi-label one a
class is added or removed. Where a single-label attribute changes, the target has all other single-label attributes as
they are. Multi-label sets have no equality: of those that change, the target's classes are to be carried, whatever
comes with them. The target exists if an item of the gallery, not the query, has all of that.

Items with the same labels ask for the same changes, so it is kinds of items that are compared. Only pairs of a query's
kind and a gallery's kind are looked at that agree in the single-label attributes which stay, and no more than counts
per kind are kept: those that are drawn are found again. Memory is that of one run of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .changes import ChangeQueries, single_label_attributes, single_labels
from .embedded import Embedded
from .metrics import Counts
from .roles import Roles

_CELLS = 4_000_000  # (kind, kind, class) triples looked at at once

_Run = tuple[Counts, Counts, Counts]  # kinds, ascending; what each adds and removes, as in `ChangeQueries`


class PossibleChanges:
    """All queries of one set of attributes, `len` of them, in the order of their items.

    Args:
        embedded: N items.
        attributes: s positions, ascending.
        roles: an item asks, or is a candidate, if it has the role and a label for each of the attributes.
    """

    def __init__(self, embedded: Embedded, attributes: Sequence[int], roles: Roles) -> None:
        self._taxonomy, self._carried, self._chosen = embedded.taxonomy, embedded.carried, list(attributes)
        columns = {n: column for column, n in enumerate(single_label_attributes(self._taxonomy))}
        self._single = {n: columns[n] for n in self._chosen if n in columns}
        self._multi = [n for n in self._chosen if n not in columns]
        self._labels = single_labels(embedded) if self._single else np.empty((len(embedded), 0), np.int64)
        self._words = {n: _packed(self._carried[:, self._taxonomy.span(n)]) for n in self._multi}

        labelled = embedded.known[:, self._chosen].all(1) & (self._labels >= 0).all(1)
        self._candidate = np.asarray(labelled & roles.gallery[:, self._chosen].all(1), bool)
        self._item = np.flatnonzero(labelled & roles.query[:, self._chosen].all(1))
        candidates = np.flatnonzero(self._candidate)
        # A query that is a candidate itself is of another kind: its own labels make no target exist.
        asked = np.concatenate([self._key(self._item), self._candidate[self._item, None]], 1)
        _, first, kind = np.unique(asked, axis=0, return_index=True, return_inverse=True)
        self._mine, self._kind = self._item[first], kind.reshape(-1)  # an item of each kind; each item's kind
        _, first, self._count = np.unique(self._key(candidates), axis=0, return_index=True, return_counts=True)
        self._theirs = candidates[first]

        self._sizes = np.zeros(len(self._mine), np.int64)
        for kinds, _, _ in self._runs(np.arange(len(self._mine))):
            self._sizes += np.bincount(kinds, minlength=len(self._sizes))
        self._ends = np.cumsum(self._sizes[self._kind])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def take(self, places: Counts) -> ChangeQueries:
        """Those at some of the places 0..len−1."""
        row = np.searchsorted(self._ends, places, side="right")
        kind = self._kind[row]
        within = places - (self._ends[row] - self._sizes[kind])
        added, removed = (np.empty((len(places), len(self._chosen)), np.int64) for _ in range(2))
        for kinds, come, gone in self._runs(np.unique(kind)):
            here = np.flatnonzero((kind >= kinds[0]) & (kind <= kinds[-1])) if len(kinds) else np.empty(0, np.int64)
            found = np.searchsorted(kinds, kind[here]) + within[here]
            added[here], removed[here] = come[found], gone[found]
        return ChangeQueries(tuple(self._chosen), self._item[row], added, removed)

    def _key(self, items: Counts) -> Counts:
        """A row per item: equal where the labels that matter are."""
        words = (part[items].view(np.int64) for part in self._words.values())
        return np.concatenate([self._labels[items], *words], 1)

    def _runs(self, kinds: Counts) -> Iterator[_Run]:
        """The changes of some kinds (ascending), each kind's together, by class; those added before those removed."""
        stay = [column for column in range(self._labels.shape[1]) if column not in self._single.values()]
        width = 1 + sum(len(self._taxonomy.attributes[n].classes) for n in self._multi)
        mine, theirs = (self._labels[items][:, stay] for items in (self._mine[kinds], self._theirs))
        for u, g in _equal_rows(mine, theirs, max(1, _CELLS // width)):
            yield self._changes(kinds[u], g)

    def _changes(self, u: Counts, g: Counts) -> _Run:
        """What kinds u ask for that kinds g of the gallery have: pairs that agree where nothing changes."""
        near = np.ones(len(u), bool)
        for column in self._single.values():
            near &= self._labels[self._mine[u], column] != self._labels[self._theirs[g], column]
        for words in self._words.values():
            own, other = words[self._mine[u]], words[self._theirs[g]]
            # A class may lack if it is the one removed, which the last one never is.
            near &= np.bitwise_count(own & ~other).sum(1) <= (np.bitwise_count(own).sum(1) > 1)
        u, g = u[near], g[near]
        added, removed = (np.empty((len(u), 0), np.int64) for _ in range(2))
        code = u
        for n in self._chosen:
            row, come, gone = self._options(n, self._mine[u], self._theirs[g])
            u, g, code = u[row], g[row], code[row]
            added, removed = np.column_stack([added[row], come]), np.column_stack([removed[row], gone])
            total = self._taxonomy.class_count
            # Numbered anew each time, so that it fits an integer whatever the number of attributes.
            code = np.unique(code, return_inverse=True)[1] * (2 * total) + np.where(come >= 0, come, total + gone)
        _, first, same = np.unique(code, return_index=True, return_inverse=True)
        carriers = np.bincount(same, self._count[g], minlength=len(first))
        # Who only loses classes has what it asks for itself.
        itself = self._candidate[self._mine[u[first]]] & (added[first] < 0).all(1)
        first = first[carriers > itself]
        return u[first], added[first], removed[first]

    def _options(self, n: int, mine: Counts, theirs: Counts) -> tuple[Counts, Counts, Counts]:
        """Changes of attribute n of P items that P others have: the pair's place, the class added, the one removed."""
        if n in self._single:
            column = self._single[n]
            return np.arange(len(mine)), self._labels[theirs, column], self._labels[mine, column]
        span = self._taxonomy.span(n)
        own, other = self._carried[mine, span], self._carried[theirs, span]
        lacking = own & ~other
        whole = ~lacking.any(1, keepdims=True)
        several = own.sum(1, keepdims=True) > 1  # the last class stays
        row, place = np.concatenate([other & ~own & whole, own & several & (whole | lacking)], 1).nonzero()
        total = span.stop - span.start
        come, gone = np.where(place < total, place + span.start, -1), np.where(place < total, -1, place - total)
        return row, come, np.where(gone < 0, -1, gone + span.start)


def _packed(sets: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """N×M bool -> N×⌈M/64⌉, a bit each."""
    result = np.zeros((len(sets), 8 * -(-sets.shape[1] // 64)), np.uint8)
    bits = np.packbits(sets, axis=1)
    result[:, : bits.shape[1]] = bits
    return result.view(np.uint64)


def _equal_rows(left: Counts, right: Counts, limit: int) -> Iterator[tuple[Counts, Counts]]:
    """Positions of equal rows of K×C and G×C, by the first; in runs of about `limit` that hold all pairs of a first."""
    rows = np.concatenate([left, right])
    group = np.zeros(len(rows), np.int64)
    if rows.shape[1]:
        group = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    own, other = group[: len(left)], group[len(left) :]
    by_group = np.argsort(other, kind="stable")
    low, high = (np.searchsorted(other[by_group], own, side=side) for side in ("left", "right"))
    sizes = high - low
    ends, start = np.cumsum(sizes), 0
    while start < len(own):
        before = ends[start] - sizes[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + limit, side="right")))
        first = np.repeat(np.arange(start, stop), sizes[start:stop])
        within = np.arange(len(first)) - (ends[first] - sizes[first] - before)
        yield first, by_group[low[first] + within]
        start = stop
