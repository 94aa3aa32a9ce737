"""Short sketches of embeddings, by which their similarity to a query is estimated by reading little.

A row's sketch is its coordinates along the few directions in which the rows vary most, eight bits each (a scalar
quantiser on principal components; Jégou et al. 2011 and Johnson et al. 2017 on why eight bits lose next to nothing).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .compiled import compiled
from .products import Rows, products

Vector = NDArray[np.float32]

_BLOCK = 8192  # rows in single precision at once
_LARGEST = 127


@dataclass(frozen=True)
class Sketches:
    """Sketches of n rows.

    Args:
        basis: d×D, orthonormal directions.
        steps: d, of which a row's coordinates are whole numbers.
        numbers: n×d int8, these.
    """

    basis: Rows
    steps: Vector
    numbers: NDArray[np.int8]

    def of(self, query: Vector) -> Vector:
        """A query's coordinates, D -> d, not rounded."""
        return products(self.basis, query)

    def similarities(self, coordinates: Vector, which: NDArray[np.int64]) -> Vector:
        """Estimated products of some rows with a query.

        Args:
            coordinates: d, of the query.
            which: w row numbers below n, which is not checked.

        Returns:
            w, whose error is not bounded; NaN for a row number below 0.
        """
        result: Vector = _estimates(self.numbers, which, coordinates * self.steps)
        return result

    def of_rows(self, which: NDArray[np.int64]) -> Sketches:
        """Those of some rows."""
        return replace(self, numbers=self.numbers[which])


def coordinates(rows: Rows, basis: Rows) -> Rows:
    """Of n×D rows along d×D directions: n×d."""
    directions, result = torch.from_numpy(basis).float().T.contiguous(), np.empty((len(rows), len(basis)), np.float16)
    for start in range(0, len(rows), _BLOCK):
        part = torch.from_numpy(rows[start : start + _BLOCK]).float()
        result[start : start + _BLOCK] = (part @ directions).half().numpy()
    return result


def steps_for(coordinates_: Rows) -> Vector:
    """Steps, d, that n×d coordinates are within eight bits of."""
    return np.maximum(np.abs(coordinates_).max(0).astype(np.float32), np.float32(1e-6)) / _LARGEST


def in_steps(coordinates_: Rows, steps: Vector) -> NDArray[np.int8]:
    """Coordinates, n×d, in whole steps; what is beyond the last is at the last."""
    result = np.empty(coordinates_.shape, np.int8)
    for start in range(0, len(result), _BLOCK):
        part = np.rint(coordinates_[start : start + _BLOCK] / steps)
        result[start : start + _BLOCK] = np.clip(part, -_LARGEST, _LARGEST)
    return result


@compiled("float32[::1](int8[:,::1], int64[::1], float32[::1])")
def _estimates(rows: Any, which: Any, query: Any) -> Any:
    result = np.empty(len(which), np.float32)
    for place in range(len(which)):
        row, total = which[place], np.float32(0)
        if row < 0:
            total = np.float32(np.nan)
        else:
            for n in range(len(query)):
                total += np.float32(rows[row, n]) * query[n]
        result[place] = total
    return result
