from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipelines.errors import StoreError
from pipelines.search.matrices import Matrix, MatrixCache

EMPTY = Matrix(np.empty(0, np.int64), np.empty((0, 1), np.float16))


@pytest.mark.parametrize("items", [40, 400, 100_000])
def test_rows_are_found_by_their_items(items: int) -> None:
    dice = np.random.default_rng(items)
    position = dice.permutation(items)[:30]
    matrix, wanted = Matrix(position, np.empty((30, 0), np.float16)), dice.permutation(items + 50)
    known = position.tolist()
    assert matrix.find(wanted).tolist() == [known.index(item) if item in known else -1 for item in wanted.tolist()]


def counting(loads: list[str], name: str, seconds: float = 0) -> Callable[[], Matrix]:
    def load() -> Matrix:
        loads.append(name)
        time.sleep(seconds)
        return EMPTY

    return load


def test_the_least_recently_used_goes_first() -> None:
    cache, loads = MatrixCache(20), list[str]()
    for name in ("a", "b", "a", "c", "a", "b"):
        cache.get((name,), 10, counting(loads, name))
    assert loads == ["a", "b", "c", "b"]
    assert cache.get(("big",), 21, counting(loads, "big")) is None and "big" not in loads
    for name in ("a", "b"):  # what was too big pushed nothing out
        cache.get((name,), 10, counting(loads, name))
    assert loads == ["a", "b", "c", "b"]


def test_what_other_snapshots_left_goes() -> None:
    cache, loads = MatrixCache(100), list[str]()
    for key in (("one", "a"), ("two", "a"), ("two", "b"), ("three", "a")):
        cache.get(key, 10, counting(loads, " ".join(key)))
    cache.keep({"three", "one"})
    assert cache.residents() == [("one", "a"), ("three", "a")] and cache.used_bytes == 20
    cache.get(("two", "a"), 10, counting(loads, "again"))  # a request that runs still may have it
    assert loads[-1] == "again" and cache.used_bytes == 30


def test_threads_load_once() -> None:
    cache, loads, gate = MatrixCache(20), list[str](), threading.Barrier(8)

    def ask() -> Matrix | None:
        gate.wait()
        return cache.get(("a",), 10, counting(loads, "a", 0.05))

    with ThreadPoolExecutor(8) as pool:
        answers = [job.result() for job in [pool.submit(ask) for _ in range(8)]]
    assert loads == ["a"] and all(answer is EMPTY for answer in answers)


def test_nothing_is_let_go_of_in_vain() -> None:
    """One that cannot have room yet waits, and what is in memory serves on."""
    cache, loads, loading, end = MatrixCache(20), list[str](), threading.Event(), threading.Event()
    cache.get(("in memory",), 10, counting(loads, "in memory"))

    def slow() -> Matrix:
        loading.set()
        assert end.wait(20)
        return EMPTY

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, ("slow",), 10, slow)
        assert loading.wait(20)
        big = pool.submit(cache.get, ("big",), 15, counting(loads, "big"))
        time.sleep(0.2)
        assert cache.kept(("in memory",)) is EMPTY and not big.done()
        end.set()
        assert first.result() is big.result() is EMPTY
    assert loads == ["in memory", "big"] and cache.residents() == [("big",)]


def test_a_failed_load_is_tried_again() -> None:
    cache, loads = MatrixCache(20), list[str]()

    def fail() -> Matrix:
        raise StoreError("gone")

    with pytest.raises(StoreError):
        cache.get(("a",), 20, fail)
    assert cache.get(("a",), 20, counting(loads, "a")) is EMPTY and loads == ["a"]


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_being_loaded_stays_within_the_budget(fails: bool) -> None:
    cache, lock, running, most = MatrixCache(20), threading.Lock(), 0, 0

    def load() -> Matrix:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1
        if fails:
            raise StoreError("gone")
        return EMPTY

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(cache.get, (str(n),), 10, load) for n in range(8)]
    assert most == 2
    assert [job.exception() is not None for job in jobs] == [fails] * 8
    assert cache.used_bytes == (0 if fails else 20)


def test_who_waits_for_room_does_not_load_what_another_has_loaded_meanwhile() -> None:
    cache, loads, gate = MatrixCache(20), list[str](), threading.Event()

    def busy() -> Matrix:
        gate.wait(5)
        return EMPTY

    with ThreadPoolExecutor(3) as pool:
        pool.submit(cache.get, ("busy",), 20, busy)
        while not cache.residents():
            time.sleep(0.001)
        both = [pool.submit(cache.get, ("a",), 20, counting(loads, "a", 0.02)) for _ in range(2)]
        time.sleep(0.02)
        assert not loads and cache.residents() == [("busy",)]
        gate.set()
        assert all(job.result() is EMPTY for job in both)
    assert loads == ["a"] and cache.residents() == [("a",)]
