"""What a process that works with tables takes of memory, and what it keeps of what it has freed.

Lance reads ahead of who asks, by default up to 2 GiB for each scan, compaction or training of an index: as good as a
whole table. Tables are read, sorted and indexed by threads that come and go. glibc's allocator gives each of them an
arena of its own, up to eight for each core, and an arena keeps what was freed in it, up to 64 MB of it: a process grows
by hundreds of megabytes that nobody uses, the more, the larger the tables are.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

_READ_AHEAD = 32 * 2**20  # bytes
_M_ARENA_MAX = -8  # of glibc's malloc.h
_ARENAS = 2


def limit_memory() -> None:
    """Read ahead a little, and have few arenas. Call it before anything large is imported: an arena stays.

    The environment may say otherwise: ``LANCE_DEFAULT_IO_BUFFER_SIZE``, in bytes.
    """
    os.environ.setdefault("LANCE_DEFAULT_IO_BUFFER_SIZE", str(_READ_AHEAD))
    _call("mallopt", _M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give what is free back to the system; milliseconds, so for the end of something large."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> Any:
    if sys.platform == "linux":
        return getattr(ctypes.CDLL(None), name, lambda *_: 0)(*arguments)  # musl has neither
    return 0
