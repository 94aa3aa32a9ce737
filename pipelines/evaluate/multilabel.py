"""Multi-label retrieval: a query with several given classes finds the items that carry them all (design 3)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .embedded import Embedded
from .gallery import Gallery
from .metrics import Counts, Hits
from .retrieval import score_queries
from .roles import ROLES, Roles
from .sampling import sample
from .scores import NEAREST, Scores
from .settings import MultiLabelSettings, RetrievalSettings


@dataclass(frozen=True)
class MultiLabelScores:
    """The queries of one attribute and set size.

    Attributes:
        scores: relevant = carries every class of the set; `class_index` is −1 throughout.
        condition: Q×M bool, the sets.
        available: queries there are, of which these are a sample.
    """

    scores: Scores
    condition: NDArray[np.bool_]
    available: int


def evaluate_multilabel(
    embedded: Embedded,
    settings: MultiLabelSettings | None = None,
    retrieval: RetrievalSettings | None = None,
    roles: Roles | None = None,
) -> Mapping[tuple[str, int], MultiLabelScores]:
    """Rank by (classes of the set carried, mean class similarity over those, attribute similarity, id), and score.

    Args:
        embedded: the labels' class embeddings must be among the pairs.
        settings: set sizes and sample; None = the defaults.
        retrieval: K, D and roles; None = the defaults.
        roles: None = what `retrieval` says.

    Returns:
        By (attribute, set size), for multi-label attributes; pairs without a query are left out.
    """
    settings, retrieval = settings or MultiLabelSettings(), retrieval or RetrievalSettings()
    roles = roles or ROLES[retrieval.roles](embedded)
    result = {}
    for n, attribute in enumerate(embedded.taxonomy.attributes):
        if not attribute.multi_label:
            continue
        known, carried = embedded.known[:, n], embedded.carried[:, embedded.taxonomy.span(n)]
        gallery = Gallery(embedded, n, np.flatnonzero(roles.gallery[:, n] & known))
        candidates = carried[gallery.items].T.astype(np.float32)
        for size in settings.sizes:
            asking = np.flatnonzero(roles.query[:, n] & known & (carried.sum(1) >= size))
            # Memory for every subset as two numbers; the sets themselves are made for the sample only.
            counts = np.array([math.comb(int(number), size) for number in carried[asking].sum(1)], np.int64)
            chosen = sample(int(counts.sum()), settings.max_queries, settings.seed)
            if not len(chosen):
                continue
            ends = counts.cumsum()
            row = np.searchsorted(ends, chosen, side="right")
            item, condition = asking[row], np.zeros((len(chosen), carried.shape[1]), bool)
            for query, (one, place) in enumerate(zip(item, chosen - (ends - counts)[row], strict=True)):
                classes = itertools.combinations(np.flatnonzero(carried[one]), size)
                condition[query, list(next(itertools.islice(classes, int(place), None)))] = True
            scores = _score(gallery, item, condition, candidates, size, retrieval)
            result[attribute.name, size] = MultiLabelScores(scores, condition, int(counts.sum()))
    return result


def _score(
    gallery: Gallery,
    item: NDArray[np.int64],
    condition: NDArray[np.bool_],
    candidates: NDArray[np.float32],
    size: int,
    settings: RetrievalSettings,
) -> Scores:
    def hits(rows: NDArray[np.int64]) -> tuple[Hits, Counts]:
        whole = condition[rows].astype(np.float32) @ candidates == size
        own = gallery.own[item[rows]]
        whole[own >= 0, own[own >= 0]] = False
        return gallery.reorder(np.asarray(whole), item[rows], condition[rows], np.arange(len(rows)), NEAREST)

    return score_queries(gallery, item, np.full(len(item), -1, np.int64), hits, settings)
