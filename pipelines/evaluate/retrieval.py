"""Attribute-specific retrieval: how well an item finds the items that share its class (design 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .chunks import in_chunks
from .embedded import Embedded
from .gallery import Gallery
from .metrics import Counts, Hits
from .roles import ROLES, Roles
from .scores import NEAREST, Scores, Summary, join, macro, score, summarise
from .settings import RetrievalSettings


@dataclass(frozen=True)
class RetrievalResult:
    """Scores of every query, by attribute name.

    Attributes:
        settings: they were made with.
        attributes: per attribute, in the taxonomy's order; an attribute may have no query.
    """

    settings: RetrievalSettings
    attributes: Mapping[str, Scores]

    @cached_property
    def summaries(self) -> dict[str, Summary]:
        """Means per attribute."""
        return {name: summarise(scores, self.settings.zero) for name, scores in self.attributes.items()}

    @cached_property
    def overall(self) -> Summary:
        """Means over the queries of all attributes (query-weighted, the papers')."""
        return summarise(join(self.attributes.values()), self.settings.zero)

    @cached_property
    def macro(self) -> Summary:
        """Plain means over attributes."""
        return macro(self.summaries.values())


class AttributeQueries:
    """The queries of one attribute and its gallery, ready to be ranked.

    Args:
        embedded: N items.
        attribute: position 0..A−1.
        settings: relevance and protocol.
        roles: who is a query and who is in the gallery.

    Attributes:
        gallery: all candidates.
        item: Q positions of the query items, ascending.
        class_index: Q class indices that the query is about; −1 = the item's set.
    """

    def __init__(self, embedded: Embedded, attribute: int, settings: RetrievalSettings, roles: Roles) -> None:
        self._embedded, self._settings = embedded, settings
        self._span = embedded.taxonomy.span(attribute)
        carried = embedded.carried[:, self._span]
        known = embedded.known[:, attribute]
        self.gallery = Gallery(embedded, attribute, np.flatnonzero(roles.gallery[:, attribute] & known))
        queries = np.flatnonzero(roles.query[:, attribute] & known)
        self._per_class = settings.relevance == "class" or not embedded.taxonomy.attributes[attribute].multi_label
        if self._per_class:
            about = carried if roles.asked is None else carried & roles.asked[:, self._span]
            row, local = np.nonzero(about[queries])
            self.item: Counts = queries[row]
            self.class_index: Counts = local + self._span.start
        else:
            self.item, self.class_index = queries, np.full(len(queries), -1, np.int64)
        stands_for = roles.stands_for(embedded.carried)[:, self._span]
        self._carriers = np.ascontiguousarray(stands_for[self.gallery.items].T)  # M×G
        self._sets = _set_codes(carried)

    def __len__(self) -> int:
        return len(self.item)

    def rank(self, rows: NDArray[np.integer], limit: int | None = None) -> NDArray[np.int64]:
        """Places in the gallery, best first, for the given queries: B×min(G, limit). Itself stands last."""
        items, condition, query = self._rankings(rows)
        ranked = self.gallery.rank(items, condition, limit)
        return ranked if np.array_equal(query, np.arange(len(items))) else ranked[query]

    def hits(self, rows: NDArray[np.integer]) -> tuple[Hits, Counts]:
        """Relevance in rank order, B×G, and the first places, B×min(G, NEAREST), of ascending queries."""
        items, condition, query = self._rankings(rows)
        return self.gallery.reorder(self.relevance(rows), items, condition, query, NEAREST)

    def _rankings(self, rows: NDArray[np.integer]) -> tuple[Counts, NDArray[np.bool_], Counts]:
        """Items and conditions to rank the gallery for, and which of those rankings each query has (B)."""
        items = self.item[rows]
        if self._settings.classes == "given":
            condition = self._embedded.carried[items, self._span]
            if self._per_class:
                condition = np.zeros_like(condition)
                condition[np.arange(len(rows)), self.class_index[rows] - self._span.start] = True
            return items, condition, np.arange(len(rows))
        # An item's queries differ in what is relevant, not in how the gallery is ranked: rank once per item.
        unique, inverse = np.unique(items, return_inverse=True)
        # A system that does not put classes first has one tier, unless somebody gives the classes.
        return unique, self._embedded.predicted[unique, self._span] & self._embedded.class_first, inverse

    def relevance(self, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """B×G bool in the gallery's order; False for the query itself."""
        items = self.item[rows]
        if self._per_class:
            result = self._carriers[self.class_index[rows] - self._span.start]
        elif self._settings.relevance == "exact":
            result = self._sets[items][:, None] == self._sets[self.gallery.items]
        else:
            target = self._embedded.carried[items, self._span].astype(np.float32)
            result = target @ self._carriers.astype(np.float32) > 0
        own = self.gallery.own[items]
        result[own >= 0, own[own >= 0]] = False
        return result


def evaluate_retrieval(
    embedded: Embedded, settings: RetrievalSettings | None = None, roles: Roles | None = None
) -> RetrievalResult:
    """Score every query of every attribute.

    Args:
        embedded: the items; for ``classes="given"`` their labels' class embeddings must be among the pairs.
        settings: None = the defaults.
        roles: None = what the settings say; or a data set's own query and candidate lists.
    """
    settings = settings or RetrievalSettings()
    roles = roles or ROLES[settings.roles](embedded)
    attributes = {}
    for n, name in enumerate(embedded.taxonomy.names):
        queries = AttributeQueries(embedded, n, settings, roles)
        attributes[name] = score_queries(queries.gallery, queries.item, queries.class_index, queries.hits, settings)
    return RetrievalResult(settings, attributes)


def score_queries(
    gallery: Gallery,
    item: Counts,
    class_index: Counts,
    hits: Callable[[Counts], tuple[Hits, Counts]],
    settings: RetrievalSettings,
) -> Scores:
    """Rank and score Q queries, a chunk at a time.

    Args:
        gallery: what is ranked.
        item: Q positions of the query items.
        class_index: Q, see `Scores`.
        hits: positions of queries (B), ascending -> relevance in rank order, B×G, the query itself last and False;
            and the first places, B×min(G, NEAREST).
        settings: K, D.
    """
    sizes = len(gallery) - (gallery.own[item] >= 0)

    def scored(part: Counts) -> Scores:
        ordered, first = hits(part)
        scores = score(ordered, item[part], class_index[part], sizes[part], settings.ks, settings.denominator)
        nearest, hit = _nearest(gallery, item[part], first, ordered)
        return replace(scores, nearest=nearest, hit=hit)

    return join(in_chunks(len(item), len(gallery), scored))


def _nearest(gallery: Gallery, item: Counts, first: Counts, hits: Hits) -> tuple[Counts, Hits]:
    """Of B rankings the first items and whether they are hits: B×NEAREST each; −1 for the query itself and beyond."""
    nearest, hit = np.full((len(first), NEAREST), -1, np.int64), np.zeros((len(first), NEAREST), bool)
    nearest[:, : first.shape[1]] = np.where(first == gallery.own[item][:, None], -1, gallery.items[first])
    hit[:, : first.shape[1]] = hits[:, :NEAREST]
    return nearest, hit


def _set_codes(carried: NDArray[np.bool_]) -> Counts:
    """N×M -> N integers, equal where the class sets are equal."""
    return np.unique(np.packbits(carried, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
