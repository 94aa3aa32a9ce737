"""Re-ranking: the first K of a general ranking, reordered by one attribute (ASEN's "fashion reranking").

The general ranking is by cosine of global embeddings, or, without a global head, of the mean of an item's attribute
embeddings: what a search that asks for nothing in particular finds. The attribute's own protocol (tiers, then
similarity) then orders those K among themselves; nothing else moves into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from model.encoder import asked

from . import chance, metrics
from .chunks import in_chunks
from .embedded import Embedded
from .ordering import order
from .retrieval import AttributeQueries
from .roles import ROLES, Roles
from .scores import Scores, Summary, join, macro, summarise
from .settings import RerankingSettings, RetrievalSettings


@dataclass(frozen=True)
class RerankingResult:
    """Scores by attribute name: ``MAP@K before`` and ``MAP@K after``, of the queries of attribute retrieval."""

    retrieval: RetrievalSettings
    attributes: Mapping[str, Scores]

    @cached_property
    def summaries(self) -> dict[str, Summary]:
        """Means per attribute."""
        return {name: summarise(scores, self.retrieval.zero) for name, scores in self.attributes.items()}

    @cached_property
    def overall(self) -> Summary:
        """Means over the queries of all attributes."""
        return summarise(join(self.attributes.values()), self.retrieval.zero)

    @cached_property
    def macro(self) -> Summary:
        """Plain means over attributes."""
        return macro(self.summaries.values())


def evaluate_reranking(
    embedded: Embedded,
    settings: RerankingSettings | None = None,
    retrieval: RetrievalSettings | None = None,
    roles: Roles | None = None,
) -> RerankingResult:
    """Rank each attribute's gallery in general, reorder the first K by the attribute, and score both.

    Args:
        embedded: N items.
        settings: K; None = the defaults.
        retrieval: relevance, protocol and D; None = the defaults.
        roles: None = what `retrieval` says.
    """
    settings, retrieval = settings or RerankingSettings(), retrieval or RetrievalSettings()
    roles = roles or ROLES[retrieval.roles](embedded)
    general = general_embeddings(embedded)
    attributes = {}
    for n, name in enumerate(embedded.taxonomy.names):
        queries = AttributeQueries(embedded, n, retrieval, roles)
        run = partial(_score, queries, general, settings.ks, retrieval.denominator)
        attributes[name] = join(in_chunks(len(queries), len(queries.gallery), run))
    return RerankingResult(retrieval, attributes)


def general_embeddings(embedded: Embedded) -> NDArray[np.float32]:
    """N×D, L2-normalised (0 stays 0): global embeddings, or the mean of the attribute embeddings."""
    if embedded.global_embeddings is not None:
        return embedded.global_embeddings
    mean = asked(embedded.attribute_embeddings, embedded.slack).mean(1)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _score(
    queries: AttributeQueries,
    general: NDArray[np.float32],
    ks: tuple[int, ...],
    denominator: metrics.Denominator,
    rows: metrics.Counts,
) -> Scores:
    gallery, item = queries.gallery, queries.item[rows]
    first = order(general[item] @ general[gallery.items].T, own=gallery.own[item], limit=max(ks))
    ranked = queries.rank(rows)
    place = np.empty_like(ranked)  # of each candidate in the attribute's ranking
    np.put_along_axis(place, ranked, np.arange(len(gallery))[None], axis=1)
    relevance = queries.relevance(rows)
    relevant = np.count_nonzero(relevance, axis=1)
    size = len(gallery) - (gallery.own[item] >= 0)
    values, expected = {}, {}
    for k in ks:
        before = first[:, :k]
        after = np.take_along_axis(before, np.take_along_axis(place, before, 1).argsort(1), 1)
        for when, places in (("before", before), ("after", after)):
            hits = np.take_along_axis(relevance, places, 1)
            name = f"MAP@{k} {when}"
            values[name] = metrics.average_precision(hits, k=k, denominator=denominator, relevant=relevant)
            expected[name] = chance.average_precision(size, relevant, k, denominator)
    return Scores(item, queries.class_index[rows], size, relevant, values, expected, {})
