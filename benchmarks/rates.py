"""Searches a second of clients who wait for their answers, in one process and in several."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import torch

from benchmarks.shop import Shop, item_id
from model.checkpoint import load_checkpoint
from pipelines.index.store import Index
from pipelines.search.engine import Engine
from pipelines.search.request import SearchRequest

Ask = Callable[[int], list[int]]  # an item -> the nearest others

_WARM = 16  # searches before any are counted


def rate(ask: Ask, queries: int, clients: int, threads: int = 1) -> float:
    """Searches a second of so many clients, each of which waits for its answer, by so many of torch's threads each."""
    with ThreadPoolExecutor(clients, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        list(pool.map(ask, range(_WARM)))
        start = time.perf_counter()
        list(pool.map(ask, range(queries)))
        return queries / (time.perf_counter() - start)


def rate_of_processes(shop: Shop, hits: int, queries: int, clients: int) -> float:
    """Searches a second of so many clients, who are shared among processes, one for each core with memory of its own.

    From when the first begins until the last is done.
    """
    count = os.cpu_count() or 1
    share = [range(first, queries, count) for first in range(count)]
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        barrier = manager.Barrier(count)
        with ProcessPoolExecutor(count, mp_context=context) as pool:
            ask = partial(_ask_alone, shop.index, shop.checkpoint, hits, max(1, clients // count), barrier)
            times = list(pool.map(ask, share))
    return queries / (max(end for _, end in times) - min(start for start, _ in times))


def _ask_alone(
    index: Path, checkpoint: Path, hits: int, clients: int, barrier: Barrier, items: range
) -> tuple[float, float]:
    """In a process of its own: when it began to search for these items, and when it was done."""
    snapshot = Index.open(index).latest()
    assert snapshot is not None
    engine = Engine(Index.open(index).reader(snapshot), load_checkpoint(checkpoint))

    def ask(item: int) -> None:
        engine.search(SearchRequest(item_id=item_id(item), page_size=hits))

    with ThreadPoolExecutor(clients, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(ask, range(_WARM)))
        barrier.wait()
        start = time.monotonic()  # one clock for all processes
        list(pool.map(ask, items))
        return start, time.monotonic()
