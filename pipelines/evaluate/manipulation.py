"""Attribute manipulation: an item with some classes changed finds the items that are what it then is (design 3).

One attribute changes, or several at once. The query's classes are those of its labels, since the target is defined by
them; the search is in the space of global embeddings, with all changes in one query vector, as the service has it.
Where a single-label attribute changes, a candidate *matches* as many of the S single-label attributes as equal the
target's (an unknown one never does), and is a hit if it matches all. Of each multi-label attribute that changes, it
also matches as many of the target's classes as it carries.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.manipulation import ManipulationHead

from . import chance, metrics
from .changes import ChangeQueries
from .embedded import Embedded
from .manipulation_gallery import ManipulationGallery, match
from .metrics import Counts, Floats
from .possible_changes import PossibleChanges
from .roles import ROLES, Roles
from .sampling import sample
from .scores import Scores, Summary, join, macro, summarise
from .settings import ManipulationSettings

_CHUNK = 2_000_000  # (query, candidate) pairs ranked at once
_QUERIES = 256  # whose A×D vectors are in memory at once


@dataclass(frozen=True)
class ManipulationScores:
    """Queries and their scores.

    Attributes:
        queries: by the set of attributes that changes.
        scores: of all of them, in that order. `class_index`: the class added, or else removed; of several changes −1.
        available: queries there are, of which these are a sample.
    """

    queries: Sequence[ChangeQueries]
    scores: Scores
    available: int

    @cached_property
    def summary(self) -> Summary:
        """Means over the queries."""
        return summarise(self.scores, "keep")


@dataclass(frozen=True)
class ManipulationResult:
    """Scores; what has no query is left out.

    Attributes:
        single: of one change, by attribute name: ``Top-K`` (accuracy) and ``NDCG@K``.
        multi: ``Share@K`` (of the target's classes, those that each of the K nearest carries) and ``NDCG@K``.
        several_single: as `single`, by the number of single-label attributes that change at once.
        several_multi: as `multi`, by the number of attributes, some of them multi-label, that change at once.
    """

    single: Mapping[str, ManipulationScores]
    multi: Mapping[str, ManipulationScores]
    several_single: Mapping[int, ManipulationScores]
    several_multi: Mapping[int, ManipulationScores]

    @cached_property
    def single_mean(self) -> Summary | None:
        """Plain mean over the single-label attributes."""
        return macro(part.summary for part in self.single.values()) if self.single else None

    @cached_property
    def multi_mean(self) -> Summary | None:
        """Plain mean over the multi-label attributes."""
        return macro(part.summary for part in self.multi.values()) if self.multi else None


def evaluate_manipulation(
    embedded: Embedded, head: ManipulationHead, settings: ManipulationSettings | None = None, roles: Roles | None = None
) -> ManipulationResult:
    """Rank the gallery for every (item, changes) whose target is in it, and score.

    Args:
        embedded: with the head's global embeddings.
        head: in evaluation mode.
        settings: numbers of attributes that change, K and sample; None = the defaults.
        roles: None = leave-one-out. Candidates are labelled for the attributes that change; others may be unknown.
    """
    settings = settings or ManipulationSettings()
    roles = roles or ROLES["leave-one-out"](embedded)
    taxonomy = embedded.taxonomy
    one: dict[bool, dict[str, ManipulationScores]] = {False: {}, True: {}}
    several: dict[bool, dict[int, ManipulationScores]] = {False: {}, True: {}}
    for size, multi in itertools.product(settings.sizes, (False, True)):
        sets = [
            chosen
            for chosen in itertools.combinations(range(len(taxonomy.attributes)), size)
            if any(taxonomy.attributes[n].multi_label for n in chosen) == multi
        ]
        for part in [[chosen] for chosen in sets] if size == 1 else [sets]:
            scores = _evaluate(embedded, head, settings, roles, part)
            if scores is not None and size == 1:
                one[multi][taxonomy.names[part[0][0]]] = scores
            elif scores is not None:
                several[multi][size] = scores
    return ManipulationResult(one[False], one[True], several[False], several[True])


def _evaluate(
    embedded: Embedded,
    head: ManipulationHead,
    settings: ManipulationSettings,
    roles: Roles,
    sets: Iterable[Sequence[int]],
) -> ManipulationScores | None:
    """Changes of some sets of attributes, each query as likely as any other to be in the sample; None without any."""
    possible = [PossibleChanges(embedded, attributes, roles) for attributes in sets]
    available = sum(map(len, possible))
    chosen = sample(available, settings.max_queries, settings.seed)
    asked, parts, start = [], [], 0
    for changes in possible:
        places = chosen[(chosen >= start) & (chosen < start + len(changes))] - start
        start += len(changes)
        if len(places):
            queries = changes.take(places)
            gallery = ManipulationGallery(embedded, head, queries.attributes, roles)
            asked.append(queries)
            parts.append(_score(embedded, gallery, queries, settings.ks))
    return ManipulationScores(asked, join(parts), available) if parts else None


def _score(embedded: Embedded, gallery: ManipulationGallery, queries: ChangeQueries, ks: tuple[int, ...]) -> Scores:
    target = queries.target(embedded.carried)
    multi = any(embedded.taxonomy.attributes[n].multi_label for n in queries.attributes)
    about = np.where(queries.added >= 0, queries.added, queries.removed)
    about = about[:, 0] if len(queries.attributes) == 1 else np.full(len(queries), -1)
    step = max(1, min(_QUERIES, _CHUNK // len(gallery.items)))
    parts = []
    for start in range(0, len(queries), step):
        rows = np.arange(start, min(start + step, len(queries)))
        matches, wanted = match(embedded, gallery.items, queries.attributes, target[rows])
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
        parts.append(Scores(queries.item[rows], about[rows], size, relevant, more | values, chances | expected, {}))
    return join(parts)


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
