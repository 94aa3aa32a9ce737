"""What a process keeps of the memory that it has freed.

Tables are read, sorted and indexed by threads that come and go. glibc's allocator gives each of them an arena of its
own, up to eight for each core, and an arena keeps what was freed in it, up to 64 MB of it: a process grows by hundreds
of megabytes that nobody uses, the more, the larger the tables are.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_ARENA_MAX = -8  # of glibc's malloc.h
_ARENAS = 2


def limit_arenas() -> None:
    """Have few arenas. Call it before anything large is imported: one that is there stays."""
    _call("mallopt", _M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give what is free back to the system; milliseconds, so for the end of something large."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> Any:
    if sys.platform == "linux":
        return getattr(ctypes.CDLL(None), name, lambda *_: 0)(*arguments)  # musl has neither
    return 0
