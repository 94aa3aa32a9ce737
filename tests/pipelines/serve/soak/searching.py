"""Those who search: once, and page after page."""

from __future__ import annotations

import random

from pipelines.search.request import SearchRequest
from pipelines.serve import client_calls as calls
from pipelines.serve.errors import ServiceError

from .answers import draw_request, fault
from .processes import Caller
from .run import CORE, Run, Violation


def search(run: Run, dice: random.Random, caller: Caller) -> None:
    """A search, which is compared with the oracle's."""
    run.right(caller, draw_request(dice, run.snapshots.latest(), CORE), "searches")


def pages(run: Run, dice: random.Random, caller: Caller) -> None:
    """The second page, some time after the first, perhaps of another server."""
    request = draw_request(dice, run.snapshots.latest(), CORE)
    first = run.right(caller, request, "searches")
    if first is None or not first.next_page_token:
        return
    life = len(run.server.lives)
    run.ended.wait(dice.choice((0.0, 1.0, 8.0)))
    further = SearchRequest(**{**vars(request), "page_token": first.next_page_token})
    try:
        second = run.once(caller, calls.search(further), "second pages")
    except ServiceError as error:
        if error.reason == "SNAPSHOT_EXPIRED" and first.snapshot_id not in run.snapshots.listed():
            run.counted("second pages of a retired snapshot")
            return
        raise
    if second is not None:
        if len(run.server.lives) > life:
            run.counted("second pages from another server")
        world = run.snapshots.world(first.snapshot_id)
        hits = (*first.hits, *second.hits)
        wrong = fault(world, request, hits, second.total_candidates, 2 * request.page_size)
        if wrong or second.snapshot_id != first.snapshot_id:
            raise Violation(f"the second page: {wrong or second.snapshot_id}")
