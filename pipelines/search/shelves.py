"""Which candidates a page needs: in shelves, all of one before all of the next, and none that the page cannot reach.

A tier with many candidates makes three shelves: some hundreds that are nearest to the query, as far as partitions and
sketches of the embeddings say (`pipelines.search.partitions`) or, where those are not in memory, the vector indices of
the tables; thrice as many that come next; and the rest. So a search compares what is near, is never short, and its
pages fit each other, as a shelf depends on the query and the tier alone and not on the page. What is approximate is
that a candidate that was not thought near stands behind worse ones of its tier.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candidates import Candidates
from .columns import FETCHING
from .partitions import SHORTLIST
from .plan import Plan
from .request import Match
from .scoring import estimate
from .spaces import Space
from .vectors import QueryVectors

NEAR = (SHORTLIST, 4 * SHORTLIST)  # candidates of a tier on its first shelf, and on its first two


@dataclass(frozen=True)
class Shelf:
    """Candidates that all come before those of the next shelf.

    Args:
        tier: of all of them.
        positions: n.
        of: candidates of the tier.
        near: by what they were found as those near the query; "" if they were not looked for.
    """

    tier: int
    positions: NDArray[np.int64]
    of: int
    near: str = ""

    def __str__(self) -> str:
        """For the plan."""
        if self.near:
            return f"tier {self.tier}: {len(self.positions):,} of {self.of:,} that are near by {self.near}"
        if len(self.positions) < self.of:
            return f"tier {self.tier}: the other {len(self.positions):,} of {self.of:,}"
        return f"tier {self.tier}: all {self.of:,}"


@dataclass(frozen=True)
class Shelves:
    """As many shelves as a page needs.

    Args:
        shelves: the best first.
        allowed: n, the positions of their candidates.
        number: n, of each candidate's shelf: higher is better.
    """

    shelves: tuple[Shelf, ...]
    allowed: NDArray[np.int64]
    number: NDArray[np.int64]

    @property
    def exact(self) -> bool:
        """Whether no candidate was passed over."""
        return not any(shelf.near for shelf in self.shelves)


def fill(
    plan: Plan, query: QueryVectors, candidates: Candidates, allowed: NDArray[np.bool_], codes: NDArray[np.int64] | None
) -> Shelves:
    """The shelves that hold the places up to the end of the plan's page, whatever the similarities.

    Args:
        plan: that is carried out.
        query: of the plan.
        candidates: N items of the snapshot.
        allowed: N, which of them may be found.
        codes: N, the group of each: then places are of different groups.
    """
    end, shelves, places = plan.offset + plan.page_size, list[Shelf](), 0
    for shelf in _shelves(plan, query, candidates, allowed):
        shelves.append(shelf)
        places += len(shelf.positions)
        if codes is not None:
            places = len(np.unique(codes[np.concatenate([one.positions for one in shelves])]))
        if places >= end:
            break
    numbers = [np.full(len(shelf.positions), -n, np.int64) for n, shelf in enumerate(shelves)]
    return Shelves(
        tuple(shelves),
        np.concatenate([np.empty(0, np.int64), *(shelf.positions for shelf in shelves)]),
        np.concatenate([np.empty(0, np.int64), *numbers]),
    )


def _shelves(plan: Plan, query: QueryVectors, candidates: Candidates, allowed: NDArray[np.bool_]) -> Iterator[Shelf]:
    for tier, members in _tiers(plan, query, candidates, allowed):
        count = int(np.count_nonzero(members))
        rest, by = members, "their sketches" if candidates.spaces.in_memory(query.spaces) else "the tables' indices"
        for least in NEAR:
            near = _near(plan, query, candidates, members, tier, count=count, least=least)
            if near is None:
                break
            fresh = near[rest[near]]
            yield Shelf(tier, fresh, count, by)
            rest = rest.copy()
            rest[fresh] = False
        yield Shelf(tier, np.flatnonzero(rest), count)


def _tiers(
    plan: Plan, query: QueryVectors, candidates: Candidates, allowed: NDArray[np.bool_]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """The tiers that have candidates, the highest first, and which items are in them: N. No embedding is looked at."""
    if not plan.ranking:
        yield 0, allowed
        return
    total = np.zeros(len(candidates), np.int16)
    for condition in plan.ranking:
        carried = [candidates.carry(index) for index in query.wanted[condition.attribute]]
        if condition.match is Match.ALL:
            for one in carried:
                total += one
        elif carried:
            total += np.logical_or.reduce(carried)
    for tier in range(int(total.max(initial=0)), -1, -1):
        members = allowed & (total == tier)
        if members.any():
            yield tier, members


def _near(
    plan: Plan,
    query: QueryVectors,
    candidates: Candidates,
    members: NDArray[np.bool_],
    tier: int,
    *,
    count: int,
    least: int,
) -> NDArray[np.int64] | None:
    """Those of the `count` members of a tier near the query; None = compare all.

    In memory the `least` nearest, or twice as many if it is ranked by several spaces; by the tables' indices the
    `least` nearest in each of the spaces.
    """
    vectors = query.spaces
    if plan.exact or count < candidates.spaces.partition_from:
        return None
    spaces, in_memory = _ranking_spaces(plan, query, tier), candidates.spaces.in_memory(vectors)
    if in_memory and len(spaces) > 1:
        least *= 2  # the sketches' errors add up
    most = count // (2 if in_memory else FETCHING)  # beyond that all are compared in less time
    if least * (1 if in_memory else len(spaces)) > most:
        return None
    found = []
    for space in spaces:
        if in_memory:  # by the sketches of one space at once; of several spaces the sum counts, of all near in any
            part = candidates.spaces.near(space, vectors[space], members, least, shortlist=len(spaces) == 1)
        else:
            part = candidates.spaces.near_by_index(space, vectors[space], members, least)
        if part is None:
            return None
        found.append(part)
    near = found[0] if len(found) == 1 else np.unique(np.concatenate(found))
    if len(near) < least or (len(near) > most and not in_memory):
        return None
    if in_memory and len(near) > least:
        similarity = estimate(plan, query, candidates, near)
        near = near[np.argpartition(-similarity, least - 1)[:least]]
    return near


def _ranking_spaces(plan: Plan, query: QueryVectors, tier: int) -> list[Space]:
    """What a tier is ranked by."""
    if query.merged is not None:
        return [("global", 0)]
    if not plan.ranking:
        return [("attribute", n) for n in query.attributes]
    wanted = {condition.attribute: query.wanted[condition.attribute] for condition in plan.ranking}
    classes = [index for indices in wanted.values() for index in indices] if query.classes and tier else []
    most = sum(
        len(wanted[one.attribute]) if one.match is Match.ALL else min(1, len(wanted[one.attribute]))
        for one in plan.ranking
    )
    # By attribute where an item carries no wanted class; one of the highest tier carries one of each that has any.
    lacking = [n for n in wanted if not (classes and wanted[n] and tier == most)]
    return [*(("attribute", n) for n in lacking), *(("class", index) for index in classes)]
