"""An index that changes and the slow oracle answer alike (`tests.pipelines.search.congruence`)."""

from __future__ import annotations

import pytest

from pipelines.search import engine

from .congruence import check


def test_random_programs() -> None:
    check(8, 10)


@pytest.mark.slow
def test_more_random_programs() -> None:
    check(25, 15)


def test_a_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for it is worth something: an engine that forgets the last candidate is caught."""
    allowed = engine.Engine._allowed
    monkeypatch.setattr(engine.Engine, "_allowed", lambda self, plan: allowed(self, plan)[:-1])
    with pytest.raises(AssertionError):
        check(30, 8, shrink=False)
