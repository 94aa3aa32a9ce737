"""The ranking rule of `pipelines.search.ranking.rank` for many queries at once, exactly.

A row's sort key is one 64-bit integer, [tier | similarity | position], which a plain sort puts in order: numpy sorts
unsigned integers several times faster than it lexsorts. Candidates must stand in the order of their ids, so that
the position breaks ties as the id would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_OWN = np.uint64(2**64 - 1)


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
    similarity = np.ascontiguousarray(similarity, np.float32)
    size = similarity.shape[1]
    bits = max(1, (size - 1).bit_length())
    assert np.isfinite(similarity).all(), "a similarity is not finite"
    keys = _descending(similarity).astype(np.uint64)
    if tier is not None and tier.size:
        top = int(tier.max())
        assert bits + 32 + top.bit_length() <= 64, f"{size} candidates in {top + 1} tiers do not fit a key"
        keys |= (top - tier).astype(np.uint64) << np.uint64(32)
    keys <<= np.uint64(bits)
    keys |= np.arange(size, dtype=np.uint64)
    mask = np.uint64((1 << bits) - 1)
    if own is not None:
        rows = np.flatnonzero(own >= 0)
        keys[rows, own[rows]] |= _OWN ^ mask  # after every other key: only a NaN has a similarity of all ones
    if secondary is None and limit is not None and limit < size:
        keys = np.partition(keys, limit - 1, axis=1)[:, :limit] if limit else keys[:, :0]
    keys.sort(axis=1)
    result = (keys & mask).astype(np.int64)
    if secondary is not None:
        _settle(result, keys >> np.uint64(bits), secondary)
    return result[:, :limit]


def _descending(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Bits that order as −values do: 0.0 and −0.0 alike."""
    signed = (values + np.float32(0)).view(np.int32)  # −0.0 + 0.0 = 0.0
    return (signed ^ (~signed >> 31 & 0x7FFFFFFF)).view(np.uint32)


def _settle(result: NDArray[np.int64], keys: NDArray[np.uint64], secondary: NDArray[np.float32]) -> None:
    """Re-order, in place, the runs of equal keys by `secondary`, then position."""
    same = keys[:, 1:] == keys[:, :-1]
    if not same.any():
        return
    member = np.zeros(keys.shape, bool)
    member[:, 1:] |= same
    member[:, :-1] |= same
    rows, columns = np.nonzero(member)
    starts = np.ones(len(rows), bool)
    starts[1:] = (rows[1:] != rows[:-1]) | (keys[rows[1:], columns[1:]] != keys[rows[:-1], columns[:-1]])
    positions = result[rows, columns]
    again = np.lexsort((positions, -secondary[rows, positions], np.cumsum(starts)))
    result[rows, columns] = positions[again]
