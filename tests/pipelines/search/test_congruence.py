"""An index that changes and the slow oracle answer alike (`tests.pipelines.search.congruence`)."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.search import engine
from pipelines.search.plan import Plan

from .congruence import check


def test_random_programs() -> None:
    check(8, 10)


@pytest.mark.slow
def test_more_random_programs() -> None:
    check(25, 15)


def test_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for it is worth something: an engine that forgets the last candidate is caught."""
    allowed = engine.Engine._allowed

    def without_the_last(self: engine.Engine, plan: Plan) -> np.ndarray:
        mask = allowed(self, plan).copy()
        mask[np.flatnonzero(mask)[-1:]] = False
        return mask

    monkeypatch.setattr(engine.Engine, "_allowed", without_the_last)
    with pytest.raises(AssertionError):
        check(30, 8, shrink=False)
