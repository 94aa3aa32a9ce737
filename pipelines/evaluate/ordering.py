"""The ranking rule of `pipelines.search.ranking.rank` for many queries at once, exactly.

A row's sort key is one 64-bit integer, [tier | similarity | position], which a plain sort puts in order: numpy sorts
unsigned integers several times faster than it lexsorts. Candidates must stand in the order of their ids, so that
the position breaks ties as the id would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

_OWN = np.uint64(2**64 - 1)
_BLOCK = 1 << 16  # pairs ordered at once: half a megabyte of keys, which a core's cache holds


def blocks(count: int, size: int) -> Iterator[slice]:
    """Runs of `count` queries that are ordered together best, with `size` candidates each."""
    step = max(1, _BLOCK // max(1, size))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def in_threads(run: Callable[[slice], None], parts: Iterable[slice]) -> None:
    """Run all parts, in as many threads as torch has: numpy sorts, adds and takes without Python's lock."""
    parts = list(parts)
    threads = min(torch.get_num_threads(), len(parts))
    if threads < 2:
        for part in parts:
            run(part)
        return
    with ThreadPoolExecutor(threads, "order") as pool:
        for _ in pool.map(run, parts):
            pass  # which raises what a part has raised


def order(
    similarity: NDArray[np.float32],
    *,
    tier: NDArray[np.integer] | None = None,
    secondary: NDArray[np.float32] | None = None,
    own: NDArray[np.integer] | None = None,
    limit: int | None = None,
) -> NDArray[np.int64]:
    """Candidate positions from best to worst, for each query.

    Args:
        similarity: B×G, compared within a tier only; finite.
        tier: B×G, >= 0, higher is better; None = one tier.
        secondary: B×G, decides where tier and similarity are equal, before the position.
        own: B, the position of the query itself in the gallery, which is put last; −1 = it is not in it.
        limit: only the first `limit` columns.

    Returns:
        B×min(G, limit) positions.
    """
    rows, size = similarity.shape
    bits = max(1, (size - 1).bit_length())
    top = int(tier.max()) if tier is not None and tier.size else 0
    assert bits + 32 + top.bit_length() <= 64, f"{size} candidates in {top + 1} tiers do not fit a key"
    result = np.empty((rows, size if limit is None else min(size, limit)), np.int64)
    for part in blocks(rows, size):
        keys = _keys(similarity[part], None if tier is None else top - tier[part], bits)
        if own is not None:
            asked = np.flatnonzero(own[part] >= 0)
            keys[asked, own[part][asked]] |= _OWN << np.uint64(bits)  # after all others: only a NaN has all ones
        result[part] = _sorted(keys, bits, None if secondary is None else secondary[part], result.shape[1])
    return result


def _keys(similarity: NDArray[np.float32], below: NDArray[np.integer] | None, bits: int) -> NDArray[np.uint64]:
    """[tiers below the best | similarity | position], B×G."""
    assert np.isfinite(similarity).all(), "a similarity is not finite"
    keys = _descending(similarity).astype(np.uint64)
    if below is not None:
        keys |= below.astype(np.uint64) << np.uint64(32)
    keys <<= np.uint64(bits)
    keys |= np.arange(similarity.shape[1], dtype=np.uint64)
    return keys


def _sorted(
    keys: NDArray[np.uint64], bits: int, secondary: NDArray[np.float32] | None, width: int
) -> NDArray[np.uint64]:
    """The positions of the first `width` keys of each row, in order."""
    mask = np.uint64((1 << bits) - 1)
    if secondary is None and width < keys.shape[1]:
        keys = np.partition(keys, width - 1, axis=1)[:, :width] if width else keys[:, :0]
    keys.sort(axis=1)
    positions = keys & mask
    if secondary is not None:
        same = keys[:, 1:] ^ keys[:, :-1] <= mask
        if same.any():
            _settle(positions, same, secondary)
    return positions[:, :width]


def _settle(positions: NDArray[np.uint64], same: NDArray[np.bool_], secondary: NDArray[np.float32]) -> None:
    """Re-order runs of equal keys, in place, by `secondary`, then position; same, B×(G−1): as the place before it."""
    later = np.zeros(positions.shape, bool)
    later[:, 1:] = same
    member = later.copy()
    member[:, :-1] |= same
    places = np.flatnonzero(member)
    run = np.cumsum(~later.reshape(-1)[places])
    tied = positions.reshape(-1)[places]
    by_secondary = _stable(_descending(secondary[places // positions.shape[1], tied]))
    positions.reshape(-1)[places] = tied[by_secondary[_stable(run[by_secondary])]]


def _stable(values: NDArray[np.integer]) -> NDArray[np.uint64]:
    """A stable argsort, as a plain sort of [value | position]: of values >= 0 that leave the position room."""
    bits = np.uint64(max(1, (len(values) - 1).bit_length()))
    keys = values.astype(np.uint64) << bits | np.arange(len(values), dtype=np.uint64)
    keys.sort()
    return keys & ~(_OWN << bits)


def _descending(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Bits that order as −values do: 0.0 and −0.0 alike."""
    signed = np.add(values, 0, dtype=np.float32, order="C").view(np.int32)  # −0.0 + 0.0 = 0.0
    return (signed ^ (~signed >> 31 & 0x7FFFFFFF)).view(np.uint32)
