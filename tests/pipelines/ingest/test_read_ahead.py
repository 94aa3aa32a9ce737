from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.ingest.read_ahead import read_ahead


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def test_the_order_is_kept_and_no_more_are_read_at_the_same_time(threads: ThreadPoolExecutor) -> None:
    dice, lock = random.Random(0), threading.Lock()
    pauses = [dice.random() / 200 for _ in range(200)]
    now = most = 0

    def read(number: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(pauses[number])
        with lock:
            now -= 1
        return number

    results = read_ahead(read, range(200), threads, size=lambda _: 1, parallel=4, held=10)
    assert list(results) == list(range(200))
    assert 1 < most <= 4


@pytest.mark.parametrize("held", [0, 10, 25])
def test_it_is_ahead_by_so_many_bytes(threads: ThreadPoolExecutor, held: int) -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        return number

    results = read_ahead(read, range(100), threads, size=lambda _: 10, parallel=1, held=held)
    for taken in range(1, 50):
        assert next(results) == taken - 1
        time.sleep(0.001)
        assert len(begun) <= taken + held // 10 + 1 + 1, "one is in hand, and one more may fill it up"


def test_it_goes_on_when_a_result_is_larger_than_what_may_be_held(threads: ThreadPoolExecutor) -> None:
    results = read_ahead(lambda n: n, range(30), threads, size=lambda _: 1000, parallel=3, held=10)
    assert list(results) == list(range(30))


def test_an_error_comes_where_its_result_would_have(threads: ThreadPoolExecutor) -> None:
    results = read_ahead(lambda n: 10 // (3 - n), range(9), threads, size=lambda _: 1, parallel=4, held=10)
    assert [next(results) for _ in range(3)] == [3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)
