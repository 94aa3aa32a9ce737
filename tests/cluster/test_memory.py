"""What is freed goes back, threads share arenas, little is read ahead; in processes of their own: none is undone."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator has arenas")

_ARENAS = """
import ctypes, re, sys, threading
from cluster.memory import limit_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
if sys.argv[1] == "limited":
    limit_memory()
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

_COMPACTED = """
import sys
from cluster.memory import limit_memory

if sys.argv[1] == "limited":
    limit_memory()

import lance
import numpy as np
import pyarrow as pa

def most():  # Linux keeps it since it was last set back
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000

for number in range(8):  # of 26 MB each
    numbers = np.random.default_rng(number).standard_normal(50_000 * 256, np.float32).astype(np.float16)
    rows = pa.table({"embedding": pa.FixedSizeListArray.from_arrays(pa.array(numbers), 256)})
    lance.write_dataset(rows, sys.argv[2], mode="append" if number else "create")
del numbers, rows
pa.default_memory_pool().release_unused()
open("/proc/self/clear_refs", "w").write("5")
before = most()
lance.dataset(sys.argv[2]).optimize.compact_files(num_threads=1)
print(most() - before)
"""


def test_threads_share_two_arenas(tmp_path: Path) -> None:
    free, limited = (int(_run(_ARENAS, what, str(tmp_path / what))) for what in ("free", "limited"))
    assert free > limited
    assert limited <= 2


def test_what_was_freed_is_given_back() -> None:
    by_itself, given_back = map(float, _run(_FREED).split())
    assert by_itself < 10, "nothing was kept, so this shows nothing"
    assert given_back > 40  # of 50 MB


def test_a_compaction_does_not_hold_the_table(tmp_path: Path) -> None:
    free, limited = (float(_run(_COMPACTED, what, str(tmp_path / what))) for what in ("free", "limited"))
    assert free > 150, "it was not read ahead anyway, so this shows nothing"
    assert limited < 0.7 * free


def _run(code: str, *arguments: str) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LANCE_")}  # another test's
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=plain, capture_output=True, text=True, check=True
    )
    return done.stdout
