"""Seeded samples of queries, where there are more than anyone wants to wait for."""

from __future__ import annotations

import numpy as np

from .metrics import Counts


def sample(total: int, limit: int, seed: int) -> Counts:
    """At most `limit` of the positions 0..total−1, ascending, each equally likely."""
    if total <= limit:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, limit, replace=False))
