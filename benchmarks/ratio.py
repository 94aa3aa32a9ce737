"""Timing two things against each other: in turn, several rounds, the median of the ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float, list[float]]:
    """Run both in turn after a warm-up -> (median seconds of each, ratios second/first per round).

    In turn, because a shared machine's speed drifts: a ratio within a round holds when absolute times do not.
    """
    first(), second()
    times = [(seconds(first), seconds(second)) for _ in range(rounds)]
    ratios = [b / a for a, b in times]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times), ratios


def spread(ratios: list[float]) -> str:
    """Median and range, for printing."""
    return f"{statistics.median(ratios):.3f} (rounds {min(ratios):.3f} to {max(ratios):.3f})"
