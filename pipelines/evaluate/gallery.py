"""The gallery of one attribute, and the ranking protocol over it: class space first, then attribute space."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from model.encoder import asked
from pipelines.errors import DuetError

from .embedded import Embedded
from .ordering import orders

Value = TypeVar("Value", bound=np.generic)


class Gallery:
    """The candidates of one attribute, in the order of their ids (so that positions break ties).

    Args:
        embedded: N items.
        attribute: position 0..A−1.
        candidates: positions of the items in the gallery.

    Attributes:
        items: G positions in `embedded`, by id.
        own: N, the place of each item in `items`; −1 = it is not in the gallery.
    """

    def __init__(self, embedded: Embedded, attribute: int, candidates: NDArray[np.integer]) -> None:
        ids = np.asarray([embedded.item_ids[item] for item in candidates], dtype=object)
        self.items: NDArray[np.int64] = np.asarray(candidates, np.int64)[np.argsort(ids, kind="stable")]
        self.own = np.full(len(embedded), -1, np.int64)
        self.own[self.items] = np.arange(len(self.items))
        self._embedded, self._attribute = embedded, attribute
        self._vectors = np.ascontiguousarray(embedded.attribute_embeddings[self.items, attribute])
        self._pairs = _pair_table(embedded, attribute)
        predicted = embedded.predicted[self.items, embedded.taxonomy.span(attribute)]
        self._carries: NDArray[np.bool_] = np.ascontiguousarray(predicted.T)  # M×G: who is predicted to carry it
        self._carriers: dict[int, NDArray[np.int64]] = {}
        self._class_vectors: dict[int, NDArray[np.float32]] = {}
        self._filling = Lock()

    def __len__(self) -> int:
        return len(self.items)

    def rank(
        self, items: NDArray[np.integer], condition: NDArray[np.bool_], limit: int | None = None
    ) -> NDArray[np.int64]:
        """Rank the gallery for B queries by (tier, class similarity, attribute similarity, id).

        The tier is how many classes of the condition the candidate is predicted to carry; the class similarity is
        the mean over those. Without class embeddings, the attribute similarity decides within every tier.

        Args:
            items: B positions of the queries.
            condition: B×M bool, classes of this attribute.
            limit: only the first so many.

        Returns:
            B×min(G, limit) places in `self.items`; a query that is in the gallery itself stands last.

        Raises:
            DuetError: a class of the condition has no class embedding for its query.
        """
        result = np.empty((len(items), len(self) if limit is None else min(len(self), limit)), np.int64)
        for part, places in self._ranked(items, condition, limit):
            result[part] = places
        return result

    def reorder(
        self,
        values: NDArray[Value],
        items: NDArray[np.integer],
        condition: NDArray[np.bool_],
        query: NDArray[np.integer],
        first: int,
    ) -> tuple[NDArray[Value], NDArray[np.int64]]:
        """Put what is said of the candidates in the order of B rankings, which are never all in memory.

        Args:
            values: C×G, in the gallery's order.
            items: see `rank`.
            condition: see `rank`.
            query: C ascending positions 0..B−1, the ranking of each row of `values`.
            first: how many places to keep.

        Returns:
            The values, C×G, best first, and the first places, C×min(G, first).

        Raises:
            DuetError: see `rank`.
        """
        result, kept = np.empty_like(values), np.empty((len(values), min(len(self), first)), np.int64)
        ends = np.searchsorted(query, np.arange(len(items) + 1))
        for part, ranked in self._ranked(items, condition):
            for one, places in enumerate(ranked, part.start):
                for row in range(ends[one], ends[one + 1]):
                    result[row], kept[row] = values[row].take(places), places[:first]
        return result, kept

    def _ranked(
        self, items: NDArray[np.integer], condition: NDArray[np.bool_], limit: int | None = None
    ) -> Iterator[tuple[slice, NDArray[np.int64]]]:
        """Runs of the queries, and their places."""
        queries = asked(self._embedded.attribute_embeddings[items, self._attribute], self._embedded.slack)
        near = queries @ self._vectors.T
        own, embeddings = self.own[items], self._embedded.class_embeddings
        tier, similarity = np.zeros(near.shape, np.int16), near if embeddings is None else near.copy()
        for m in np.flatnonzero(condition.any(0)).tolist():
            rows = np.flatnonzero(condition[:, m])
            if embeddings is not None:  # the sum over the classes takes the place of the attribute similarity
                places = self._carry(m)
                for row, cosines in zip(rows, self._class_similarity(items[rows], m, embeddings), strict=True):
                    before = np.where(tier[row, places] > 0, similarity[row, places], np.float32(0))
                    similarity[row, places] = before + cosines
            tier[rows] += self._carries[m]
        if embeddings is None:
            yield from orders(near, tier=tier, own=own, limit=limit)
        else:
            np.divide(similarity, tier, out=similarity, where=tier > 1)
            yield from orders(similarity, tier=tier, secondary=near, own=own, limit=limit)

    def _carry(self, m: int) -> NDArray[np.int64]:
        """Places of the candidates predicted to carry class m."""
        if m not in self._carriers:
            self._carriers[m] = np.flatnonzero(self._carries[m])
        return self._carriers[m]

    def _class_similarity(
        self, items: NDArray[np.integer], m: int, class_embeddings: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Cosines of B items' class m with that of the candidates that carry it."""
        pairs = self._pairs[items, m]
        if (pairs < 0).any():
            item = self._embedded.item_ids[items[int(np.argmin(pairs))]]
            raise DuetError(f"item {item!r} was embedded without class {m} of attribute {self._attribute}")
        with self._filling:  # or every thread that misses them would make a copy of its own
            if m not in self._class_vectors:
                self._class_vectors[m] = class_embeddings[self._pairs[self.items[self._carry(m)], m]]
        return class_embeddings[pairs] @ self._class_vectors[m].T


def _pair_table(embedded: Embedded, attribute: int) -> NDArray[np.int64]:
    """N×M: the row of each (item, class) pair in `class_embeddings`; −1 = it has none."""
    span = embedded.taxonomy.span(attribute)
    table = np.full((len(embedded), span.stop - span.start), -1, np.int64)
    inside = np.flatnonzero((embedded.pair_class >= span.start) & (embedded.pair_class < span.stop))
    table[embedded.pair_item[inside], embedded.pair_class[inside] - span.start] = inside
    return table
