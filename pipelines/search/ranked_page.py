"""One page of a search: from a plan and its query's vectors to explained hits."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cluster.cores import cores

from .candidates import Candidates
from .grouping import best_of_groups
from .hits import make_hits
from .plan import Plan
from .ranking import rank
from .result import Hit
from .scoring import score
from .shelves import NEAR, Shelf, fill
from .stages import Stages
from .vectors import QueryVectors

# Pages of few products each that a process ranks at a time: with more, threads wait for Python's lock between any two.
_TURNS = threading.BoundedSemaphore(min(4, cores()))
_PATIENCE = 0.1  # seconds between two looks at whether anybody still waits for the answer


@dataclass(frozen=True)
class RankedPage:
    """What is on a page, and what was looked at for it.

    Args:
        hits: best first.
        total: candidates.
        groups: different groups among the candidates; 0 without `group_by`.
        more: whether another page follows.
        exact: whether every candidate was compared.
        shelves: that the candidates were taken from.
    """

    hits: tuple[Hit, ...]
    total: int
    groups: int
    more: bool
    exact: bool
    shelves: tuple[Shelf, ...]


def allowed_by(plan: Plan, candidates: Candidates) -> NDArray[np.bool_]:
    """Which items are a plan's candidates: N."""
    leave_out = None if plan.item_id is None else candidates.ids.find(plan.item_id)
    excluded = [index for condition in plan.conditions for index in condition.excluded]
    return candidates.allowed(plan.filter, excluded, leave_out)


def rank_page(plan: Plan, query: QueryVectors, candidates: Candidates, stages: Stages) -> RankedPage:
    """A plan's page.

    Args:
        plan: whose filter, ranking, grouping and place are followed.
        query: of the plan.
        candidates: N items of the snapshot.
        stages: "turn", "candidates", "score", "rank" and "explain" are timed.

    Raises:
        StoreError: the index is damaged.
    """
    with stages("turn"):
        in_memory = candidates.spaces.load(query.spaces)
        # Others wait for nobody who compares everything, or has to read tables.
        turn = (
            in_memory
            and not plan.exact
            and plan.offset + plan.page_size <= NEAR[-1]
            and _turn(query, candidates, stages)
        )
    try:
        return _ranked(plan, query, candidates, stages)
    finally:
        if turn:
            _TURNS.release()


def _turn(query: QueryVectors, candidates: Candidates, stages: Stages) -> bool:
    """Wait for a turn; whether it is one. It is none for whom others' embeddings keep pushing out of memory."""
    for _ in range(3):
        while not _TURNS.acquire(timeout=_PATIENCE):
            stages.check("turn")
        if candidates.spaces.resident(query.spaces):
            return True
        _TURNS.release()
        candidates.spaces.load(query.spaces)
    return False


def _ranked(plan: Plan, query: QueryVectors, candidates: Candidates, stages: Stages) -> RankedPage:
    with stages("candidates"):
        every, end = allowed_by(plan, candidates), plan.offset + plan.page_size
        total = int(np.count_nonzero(every))
        group_of = None if plan.group_by is None else candidates.groups(plan.group_by)
        shelves = fill(plan, query, candidates, every, group_of)
        allowed, shelf = shelves.allowed, shelves.number
    with stages("score"):
        scores = score(plan, query, candidates, allowed)
    with stages("rank"):

        def best(limit: int) -> NDArray[np.int64]:
            ids = candidates.ids.ranks[allowed]
            return rank(shelf, scores.similarity, ids, secondary=scores.secondary, limit=limit)

        order = best(end) if group_of is None else best_of_groups(best, group_of[allowed], end)
    with stages("explain"):
        hits = make_hits(plan, query, candidates, allowed, scores, order[plan.offset :], plan.offset + 1)
    groups = 0 if group_of is None else len(np.unique(group_of[every]))
    more = end < (total if group_of is None else groups)
    return RankedPage(hits, total, groups, more, shelves.exact, shelves.shelves)
