from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from pipelines.data.room import PixelRoom


def test_no_more_than_so_many_pixels_are_taken_at_once() -> None:
    room, lock, most, now = PixelRoom(10), threading.Lock(), 0, 0

    def take(pixels: int) -> None:
        nonlocal most, now
        with room.taken(pixels):
            with lock:
                now += pixels
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= pixels

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, [3, 4, 1, 6, 2, 9, 5, 3] * 6))
    assert room.free == 10 and 6 < most <= 10


def test_what_is_larger_than_the_room_goes_alone() -> None:
    room, order, begun = PixelRoom(10), list[str](), threading.Event()

    def large() -> None:
        begun.set()
        with room.taken(99):
            order.append("large")

    def small() -> None:
        with room.taken(1):
            order.append("small")

    with ThreadPoolExecutor(2) as pool:
        with room.taken(5):
            first = pool.submit(large)
            begun.wait()
            time.sleep(0.05)
            second = pool.submit(small)  # there would be room, but it is not its turn
            time.sleep(0.05)
            assert order == []
        first.result(5), second.result(5)
    assert order == ["large", "small"] and room.free == 10


def test_room_is_given_back_after_a_failure() -> None:
    room = PixelRoom(10)
    try:
        with room.taken(7):
            raise OSError
    except OSError:
        assert room.free == 10
