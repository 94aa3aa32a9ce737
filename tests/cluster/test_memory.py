"""What is freed goes back to the system, and threads share arenas; in processes of their own: neither is undone."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator has arenas")

_ARENAS = """
import ctypes, re, sys, threading
from cluster.memory import limit_arenas

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
if sys.argv[1] == "limited":
    limit_arenas()
together = threading.Barrier(12)

def allocate():
    together.wait()
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(file))
libc.fclose(ctypes.c_void_p(file))
print(len(re.findall("<heap nr", open(sys.argv[2]).read())))
"""

_FREED = """
import ctypes
from cluster.memory import give_back

def held():
    (line,) = (line for line in open("/proc/self/status") if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1000

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free(ctypes.c_void_p(libc.malloc(30_000_000)))  # from now on so much is kept, and twice as much at the end
blocks = [libc.malloc(100_000) for _ in range(500)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
full = held()
for block in blocks:
    libc.free(ctypes.c_void_p(block))
freed = held()
give_back()
print(full - freed, freed - held())
"""


def test_threads_share_two_arenas(tmp_path: Path) -> None:
    free, limited = (int(_run(_ARENAS, what, str(tmp_path / what))) for what in ("free", "limited"))
    assert free > limited
    assert limited <= 2


def test_what_was_freed_is_given_back() -> None:
    by_itself, given_back = map(float, _run(_FREED).split())
    assert by_itself < 10, "nothing was kept, so this shows nothing"
    assert given_back > 40  # of 50 MB


def _run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout
