"""Dot products of half-precision rows, stored embeddings above all, with a query.

A library's product wants the rows that are looked at copied together first, and where the processor cannot multiply
half-precision numbers, which most cannot, converted too; that takes several times as long as the products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from .compiled import compiled, plain

Rows = NDArray[np.float16]
Vector = NDArray[np.float32]


def products(rows: Rows, query: Vector, which: NDArray[np.int64] | None = None) -> Vector:
    """Products with all rows, or with some of them.

    Each is summed in double precision and then rounded to single. All are summed in one order, so rows that are equal
    have equal products, wherever they stand.

    Args:
        rows: n×D, contiguous and writable.
        query: D.
        which: w row numbers below n, which is not checked; None = all.

    Returns:
        w (or n); what is not finite stays so; NaN for a row number below 0.
    """
    assert query.shape == rows.shape[1:] and rows.dtype == np.float16
    bits, query = rows.view(np.uint16), plain(query, np.float32)
    result: Vector
    result = _every_product(bits, query) if which is None else _products(bits, plain(which, np.int64), query)
    return result


@intrinsic
def _single(_: Any, bits: Any) -> Any:
    """The number whose sixteen bits these are: Numba knows no half precision, but processors do."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


@compiled("float32[::1](uint16[:,::1], int64[::1], float32[::1])")
def _products(rows: Any, which: Any, query: Any) -> Any:
    result, wide = np.empty(len(which), np.float32), query.astype(np.float64)
    for place in range(len(which)):
        row, total = which[place], 0.0
        if row < 0:
            total = np.nan
        else:
            for n in range(len(query)):
                total += _single(rows[row, n]) * wide[n]  # type: ignore[call-arg]  # Numba gives the first
        result[place] = total
    return result


@compiled("float32[::1](uint16[:,::1], float32[::1])")
def _every_product(rows: Any, query: Any) -> Any:
    return _products(rows, np.arange(len(rows)), query)
