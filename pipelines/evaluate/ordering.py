"""The ranking rule of `pipelines.search.ranking.rank` for many queries at once, exactly.

A row's sort key is one 64-bit integer, [tier | similarity | position], which a plain sort puts in order: numpy sorts
integers several times faster than it lexsorts. Candidates must stand in the order of their ids, so that
the position breaks ties as the id would.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_LAST = np.iinfo(np.int64).max
_BLOCK = 1 << 16  # pairs ordered at once: half a megabyte of keys, which a core's cache holds

Keys = NDArray[np.int64]


def blocks(count: int, size: int) -> Iterator[slice]:
    """Runs of `count` queries that are ordered together best, with `size` candidates each."""
    step = max(1, _BLOCK // max(1, size))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


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
    result = np.empty((rows, size if limit is None else min(size, limit)), np.int64)
    for part, positions in orders(similarity, tier=tier, secondary=secondary, own=own, limit=limit):
        result[part] = positions
    return result


def orders(
    similarity: NDArray[np.float32],
    *,
    tier: NDArray[np.integer] | None = None,
    secondary: NDArray[np.float32] | None = None,
    own: NDArray[np.integer] | None = None,
    limit: int | None = None,
) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """`order`, some queries at a time: which they are, and their positions, which the next ones may overwrite."""
    rows, size = similarity.shape
    width, bits = size if limit is None else min(size, limit), max(1, (size - 1).bit_length())
    top = int(tier.max()) if tier is not None and tier.size else 0
    assert bits + 32 + top.bit_length() <= 63, f"{size} candidates in {top + 1} tiers do not fit a key"
    place, space = np.arange(size), np.empty((max(1, _BLOCK // max(1, size)), size), np.int64)
    for part in blocks(rows, size):
        keys = space[: part.stop - part.start]
        _fill(keys, similarity[part], bits)
        if tier is not None and top:
            keys += (top - tier[part]).astype(np.int64) << bits + 32
        keys |= place
        if own is not None:
            asked = np.flatnonzero(own[part] >= 0)
            itself = own[part][asked]
            keys[asked, itself] = _LAST >> bits << bits | itself  # after all others: only a NaN has all ones
        yield part, _sorted(keys, bits, None if secondary is None else secondary[part], width)


def _fill(keys: Keys, similarity: NDArray[np.float32], bits: int) -> None:
    """Write the similarities above the position's bits, B×G: the most similar has the least key."""
    assert np.isfinite(similarity).all(), "a similarity is not finite"
    np.multiply(_descending(similarity), 1 << bits, out=keys, dtype=np.int64)


def _sorted(keys: Keys, bits: int, secondary: NDArray[np.float32] | None, width: int) -> NDArray[np.int64]:
    """The positions of the first `width` keys of each row, in order; the keys are lost."""
    mask = (1 << bits) - 1
    if secondary is None and width < keys.shape[1]:
        keys = np.partition(keys, width - 1, axis=1)[:, :width] if width else keys[:, :0]
    keys.sort(axis=1)
    same = None if secondary is None else (keys[:, 1:] ^ keys[:, :-1]).view(np.uint64) <= mask
    keys &= mask
    if secondary is not None and same is not None and same.any():
        _settle(keys, same, secondary)
    return keys[:, :width]


def _settle(positions: Keys, same: NDArray[np.bool_], secondary: NDArray[np.float32]) -> None:
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


def _stable(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """A stable argsort, as a plain sort of [value | position]: of values that leave the position room."""
    bits = max(1, (len(values) - 1).bit_length())
    keys = values.astype(np.int64) << bits | np.arange(len(values))
    keys.sort()
    return keys & (1 << bits) - 1


def _descending(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Integers that order as −values do: 0.0 and −0.0 alike."""
    bits = np.subtract(0, values, dtype=np.float32, order="C").view(np.int32)  # 0 − 0.0 = 0 − (−0.0) = 0.0
    bits ^= bits >> 31 & 0x7FFFFFFF
    return bits
