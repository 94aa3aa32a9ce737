"""Attribute manipulation: an item with one class changed finds the items that are what it then is (design 3).

The query's classes are those of its labels, since the target is defined by them; the search is in the space of
global embeddings. Where a single-label attribute changes, a candidate *matches* as many of the S single-label
attributes as equal the target's (an unknown one never does), and is a hit if it matches all. Where a multi-label
attribute changes, it matches as many of the target's classes as it carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from model.manipulation import ManipulationHead

from . import chance, metrics
from .changes import ChangeQueries, find_changes, single_label_attributes, single_labels
from .embedded import Embedded
from .metrics import Counts, Floats
from .ordering import order
from .roles import ROLES, Roles
from .scores import Scores, Summary, join, macro, summarise
from .settings import ManipulationSettings

_CHUNK = 2_000_000  # (query, candidate) pairs ranked at once
_QUERIES = 256  # whose A×D vectors are in memory at once


@dataclass(frozen=True)
class ManipulationScores:
    """The queries of one attribute and their scores (`class_index`: the class added, or else removed)."""

    queries: ChangeQueries
    scores: Scores

    @cached_property
    def summary(self) -> Summary:
        """Means over the queries."""
        return summarise(self.scores, "keep")


@dataclass(frozen=True)
class ManipulationResult:
    """Scores by attribute name; an attribute without a query is left out.

    Attributes:
        single: ``Top-K`` (accuracy) and ``NDCG@K``.
        multi: ``Share@K`` (of the target's classes, those that each of the K nearest carries) and ``NDCG@K``.
    """

    single: Mapping[str, ManipulationScores]
    multi: Mapping[str, ManipulationScores]

    @cached_property
    def single_mean(self) -> Summary | None:
        """Plain mean over the single-label attributes."""
        return macro(part.summary for part in self.single.values()) if self.single else None

    @cached_property
    def multi_mean(self) -> Summary | None:
        """Plain mean over the multi-label attributes."""
        return macro(part.summary for part in self.multi.values()) if self.multi else None


class ManipulationGallery:
    """The candidates for changes of one attribute: those labelled for it, by id; ranked by cosine of global embeddings.

    Attributes:
        items: G positions.
        own: N, the place of each item in `items`; −1 = it is not in the gallery.
    """

    def __init__(self, embedded: Embedded, head: ManipulationHead, attribute: int, roles: Roles) -> None:
        assert embedded.global_embeddings is not None, "embed with a checkpoint that has a global head"
        ids = np.asarray(embedded.item_ids, dtype=object)
        candidates = np.flatnonzero(roles.gallery[:, attribute] & embedded.known[:, attribute])
        self.items: Counts = candidates[np.argsort(ids[candidates], kind="stable")]
        self.own = np.full(len(embedded), -1, np.int64)
        self.own[self.items] = np.arange(len(self.items))
        self._embedded, self._head, self._attribute = embedded, head, attribute
        self._vectors = np.ascontiguousarray(embedded.global_embeddings[self.items])

    @torch.inference_mode()
    def rank(self, item: Counts, target: NDArray[np.bool_], limit: int) -> Counts:
        """Rank for items (B) that are to carry a target (B×ΣM bool): B×min(G, limit) places; itself stands last."""
        device = self._head.memory.device
        embeddings = torch.from_numpy(self._embedded.attribute_embeddings[item]).to(device)
        changed = torch.zeros(embeddings.shape[:2], dtype=torch.bool, device=device)
        changed[:, self._attribute] = True
        vectors = self._head.change_batch(embeddings, torch.from_numpy(target).to(device), changed)
        vectors = self._head(vectors).float().cpu().numpy()
        return order(vectors @ self._vectors.T, own=self.own[item], limit=limit)


def evaluate_manipulation(
    embedded: Embedded, head: ManipulationHead, settings: ManipulationSettings | None = None, roles: Roles | None = None
) -> ManipulationResult:
    """Rank the gallery for every (item, single change) whose target is in it, and score.

    Args:
        embedded: with the head's global embeddings.
        head: in evaluation mode.
        settings: K and sample; None = the defaults.
        roles: None = leave-one-out. Candidates are labelled for the attribute that changes; others may be unknown.
    """
    settings = settings or ManipulationSettings()
    roles = roles or ROLES["leave-one-out"](embedded)
    found: dict[bool, dict[str, ManipulationScores]] = {False: {}, True: {}}
    for n, attribute in enumerate(embedded.taxonomy.attributes):
        queries = find_changes(embedded, n, roles, settings.max_queries, settings.seed)
        if len(queries):
            gallery = ManipulationGallery(embedded, head, n, roles)
            scores = _score(embedded, gallery, queries, settings.ks)
            found[attribute.multi_label][attribute.name] = ManipulationScores(queries, scores)
    return ManipulationResult(found[False], found[True])


def _score(embedded: Embedded, gallery: ManipulationGallery, queries: ChangeQueries, ks: tuple[int, ...]) -> Scores:
    target = queries.target(embedded.carried)
    multi = embedded.taxonomy.attributes[queries.attribute].multi_label
    step = max(1, min(_QUERIES, _CHUNK // len(gallery.items)))
    parts = []
    for start in range(0, len(queries), step):
        rows = np.arange(start, min(start + step, len(queries)))
        matches, wanted = match(embedded, gallery.items, queries.attribute, target[rows])
        own = gallery.own[queries.item[rows]]
        matches[own >= 0, own[own >= 0]] = 0
        ranked = gallery.rank(queries.item[rows], target[rows], max(ks))
        nearest = np.take_along_axis(matches, ranked, axis=1)
        relevant = np.count_nonzero(matches == wanted[:, None], axis=1)
        size = len(gallery.items) - (own >= 0)
        values, expected = _graded(matches, nearest, wanted, size, ks)
        if multi:
            more, chances = _shares(matches, nearest, wanted, size, ks)
        else:
            hits = nearest == wanted[:, None]
            more = {f"Top-{k}": metrics.top_k_accuracy(hits, k) for k in ks}
            chances = {f"Top-{k}": chance.top_k_accuracy(size, relevant, k) for k in ks}
        about = np.where(queries.added[rows] >= 0, queries.added[rows], queries.removed[rows])
        parts.append(Scores(queries.item[rows], about, size, relevant, more | values, chances | expected, {}))
    return join(parts)


def match(
    embedded: Embedded, items: Counts, attribute: int, target: NDArray[np.bool_]
) -> tuple[NDArray[np.int16], Counts]:
    """How many of what B targets ask for each of G items has (B×G), and how many they ask for (B).

    Args:
        embedded: N items.
        items: G positions.
        attribute: the one that changes.
        target: B×ΣM, see `ChangeQueries.target`.
    """
    taxonomy = embedded.taxonomy
    if taxonomy.attributes[attribute].multi_label:
        span = taxonomy.span(attribute)
        shared = target[:, span].astype(np.float32) @ embedded.carried[items][:, span].T.astype(np.float32)
        return shared.astype(np.int16), target[:, span].sum(1)
    labels = single_labels(embedded)[items]
    matches = np.zeros((len(target), len(items)), np.int16)
    for column, n in enumerate(single_label_attributes(taxonomy)):
        wanted = target[:, taxonomy.span(n)].argmax(1) + taxonomy.offsets[n]
        matches += labels[:, column] == wanted[:, None]
    return matches, np.full(len(target), labels.shape[1])


def _graded(
    matches: NDArray[np.int16], nearest: NDArray[np.int16], wanted: Counts, size: Counts, ks: tuple[int, ...]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """NDCG@K with the share of matches as gain, and what chance scores."""
    gains, most = nearest / wanted[:, None], max(ks)
    # The best order without a sort: place r holds v matches if more than r items have at least v.
    places = np.arange(most)
    ideal = np.zeros((len(matches), most))
    for v in range(1, int(wanted.max()) + 1):
        ideal += np.count_nonzero(matches >= v, axis=1)[:, None] > places
    ideal /= wanted[:, None]
    mean_gain = matches.sum(1) / wanted / np.maximum(size, 1)
    values = {f"NDCG@{k}": metrics.ndcg(gains, k, ideal=ideal) for k in ks}
    expected = {f"NDCG@{k}": chance.dcg(mean_gain, size, k) / metrics.dcg(ideal, k) for k in ks}
    return values, expected


def _shares(
    matches: NDArray[np.int16], nearest: NDArray[np.int16], wanted: Counts, size: Counts, ks: tuple[int, ...]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Share@K: of the target's classes, those that an item carries, as the mean over the K nearest; and by chance."""
    mean = matches.sum(1) / wanted / np.maximum(size, 1)
    # The query itself, which stands last if at all, matches nothing here: it counts neither above nor below.
    values = {f"Share@{k}": nearest[:, :k].sum(1) / wanted / np.clip(size, 1, k) for k in ks}
    return values, {f"Share@{k}": mean for k in ks}
