"""Queries in chunks that fit the memory, as many at once as there are cores."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from .metrics import Counts

Result = TypeVar("Result")

_PAIRS = 16_000_000  # (query, candidate) pairs of all chunks at once; ranking and scoring take some 30 bytes of each
_THREADS = 8  # more would make chunks so small that products of matrices get slow
_FEWEST = 64  # queries of a chunk: in smaller products, float32 sums of equal vectors may differ


def in_chunks(count: int, size: int, run: Callable[[Counts], Result]) -> list[Result]:
    """Run on the positions of `count` queries with `size` candidates each, a chunk of them at a time.

    A chunk a core: numpy orders in one thread only, so products of matrices must not take more either.

    Returns:
        The results in the order of the queries; of no queries, that of an empty chunk. The first error of a chunk is
        raised when all have ended.
    """
    threads = max(1, min(_THREADS, torch.get_num_threads()))
    step = max(1, min(_PAIRS // threads // max(1, size), max(_FEWEST, -(-count // threads))))
    parts = [np.arange(start, min(start + step, count)) for start in range(0, count, step)] or [np.arange(0)]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads, "chunk") as pool:
        return list(pool.map(run, parts))
