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

from benchmarks.shop import CACHE_BYTES, Shop, item_id
from model.checkpoint import load_checkpoint
from pipelines.index.store import Index
from pipelines.search.engine import Engine
from pipelines.search.matrices import MatrixCache
from pipelines.search.request import SearchRequest

Ask = Callable[[int], list[int]]  # an item -> the nearest others

_WARM = 16  # searches before any are counted
_PATIENCE = 600  # seconds until all processes have read what they search


def engine_asked(engine: Engine, hits: int) -> Ask:
    """A whole search by an item: planned, ranked, every hit explained."""

    def ask(item: int) -> list[int]:
        result = engine.search(SearchRequest(item_id=item_id(item), page_size=hits))
        return [int(hit.item_id[5:]) for hit in result.hits]

    return ask


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
    count = min(clients, len(os.sched_getaffinity(0)))
    shares = [(len(range(n, clients, count)), range(n, queries, count)) for n in range(count)]
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(count, mp_context=context) as pool:
        times = list(pool.map(partial(_apart, shop.index, shop.checkpoint, hits, manager.Barrier(count)), shares))
    return queries / (max(end for _, end in times) - min(start for start, _ in times))


def _apart(index: Path, checkpoint: Path, hits: int, barrier: Barrier, share: tuple[int, range]) -> tuple[float, float]:
    """In a process of its own: when so many clients began to search for these items, and when they were done."""
    clients, items = share
    snapshot = Index.open(index).latest()
    assert snapshot is not None
    engine = Engine(Index.open(index).reader(snapshot), load_checkpoint(checkpoint), cache=MatrixCache(CACHE_BYTES))
    ask = engine_asked(engine, hits)
    with ThreadPoolExecutor(clients, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(ask, range(_WARM)))
        barrier.wait(_PATIENCE)
        start = time.monotonic()  # one clock for all processes
        list(pool.map(ask, items))
        return start, time.monotonic()
