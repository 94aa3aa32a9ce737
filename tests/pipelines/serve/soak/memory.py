"""Whether a server's memory stays as it is."""

from __future__ import annotations

from statistics import median

from .processes import Life

_LEAST_SECONDS = 60.0
GROWTH = 1.1  # of the last third's median over the second third's, from which on it is not flat


def longest(lives: list[Life]) -> Life:
    """The life that was watched longest."""
    return max(lives, key=lambda life: life.memory[-1][0] if life.memory else 0.0)


def growth(life: Life) -> float | None:
    """The median of the last third of a life over that of the second; the first warms up. None: it was too short."""
    end = life.memory[-1][0] if life.memory else 0.0
    if end < _LEAST_SECONDS:
        return None
    thirds = [
        median(memory for at, _, memory in life.memory if part * end / 3 <= at <= (part + 1) * end / 3)
        for part in (1, 2)
    ]
    return thirds[1] / thirds[0]


def told(life: Life) -> str:
    """A life's memory at ten times."""
    step = max(1, len(life.memory) // 10)
    return "\n".join(
        f"  {at:6.0f} s, {requests:6,} requests: {memory / 2**20:6.0f} MiB"
        for at, requests, memory in life.memory[::step]
    )
