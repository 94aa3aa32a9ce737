"""One hit per product: of the candidates that share a value of a column only the best stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def group_codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """N values -> N integers, alike where the values are; a missing value is like no other."""
    codes = pc.dictionary_encode(column).combine_chunks().indices
    missing = pc.is_null(codes).to_numpy(zero_copy_only=False)
    result: NDArray[np.int64] = pc.fill_null(codes, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    result[missing] = -1 - np.flatnonzero(missing)
    return result


def best_of_groups(
    order: Callable[[int], NDArray[np.int64]], codes: NDArray[np.int64], limit: int
) -> NDArray[np.int64]:
    """The best candidate of each of the first `limit` groups, in order.

    Args:
        order: how many -> that many candidates (or all), best first.
        codes: n, the candidates' groups.
        limit: groups that are wanted; fewer only if there are no more.
    """
    asked = limit
    while True:
        asked = min(4 * asked, len(codes))
        found = order(asked)
        first = np.sort(np.unique(codes[found], return_index=True)[1])
        if len(first) >= limit or asked == len(codes):
            return found[first[:limit]]
