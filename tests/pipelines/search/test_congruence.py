"""An index that changes and the slow oracle answer alike (`tests.pipelines.search.congruence`)."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.search import ranked_page
from pipelines.search.candidates import Candidates
from pipelines.search.plan import Plan

from .congruence import check


def test_random_programs() -> None:
    check(8, 10)


@pytest.mark.slow
def test_more_random_programs() -> None:
    check(25, 15)


def test_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for it is worth something: an engine that forgets the last candidate is caught."""
    allowed_by = ranked_page.allowed_by

    def without_the_last(plan: Plan, candidates: Candidates) -> np.ndarray:
        mask = allowed_by(plan, candidates).copy()
        mask[np.flatnonzero(mask)[-1:]] = False
        return mask

    monkeypatch.setattr(ranked_page, "allowed_by", without_the_last)
    with pytest.raises(AssertionError):
        check(30, 8, shrink=False)
