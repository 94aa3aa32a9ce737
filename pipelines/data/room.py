"""Room in memory for what is decoded at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelRoom:
    """Pictures that are decoded at once have so many pixels together at most; one that alone has more is decoded alone.

    They get in in the order in which they come, so that a large one does not wait for ever for many small ones.

    Args:
        pixels: of all together.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = self._free = pixels
        self._turn, self._changed = threading.Lock(), threading.Condition()

    @property
    def free(self) -> int:
        """Pixels that nobody takes."""
        return self._free

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait for that much room, and take it."""
        needed = min(pixels, self._pixels)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= needed)
            self._free -= needed
        try:
            yield
        finally:
            with self._changed:
                self._free += needed
                self._changed.notify()
