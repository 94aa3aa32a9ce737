"""Short sketches of embeddings, by which their similarity to a query is estimated by reading little.

A row's sketch is its coordinates along the few directions in which the rows are longest, eight bits each: a scalar
quantiser on principal components (Jégou et al. 2011 quantise parts of a vector together instead).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .compiled import compiled, plain
from .products import Rows, Vector, products

_BLOCK = 8192  # rows in single precision at once
_LAST = 127
_ROOM = 1.25  # that later rows find beyond those that the steps are of


@dataclass(frozen=True)
class Sketches:
    """Sketches of n rows.

    Args:
        basis: d×D, orthonormal directions.
        middle: d, that coordinates are counted from: of embeddings that point one way all lie on one side of 0.
        steps: d, that they are counted in.
        numbers: n×d int8, of each row.
    """

    basis: Rows
    middle: Vector
    steps: Vector
    numbers: NDArray[np.int8]

    @classmethod
    def learn(cls, basis: Rows, coordinates: Rows) -> Sketches:
        """Those of rows with these coordinates, n×d; the steps reach from the least to the largest, and on."""
        least, most = coordinates.min(0).astype(np.float32), coordinates.max(0).astype(np.float32)
        steps = np.maximum(_ROOM * (most - least) / (2 * _LAST), np.float32(1e-6))
        empty = cls(basis, (least + most) / 2, steps, np.empty((0, len(basis)), np.int8))
        return replace(empty, numbers=empty.rounded(coordinates))

    def rounded(self, coordinates: Rows) -> NDArray[np.int8]:
        """Numbers of other rows, m×d; what is beyond the last step is at the last."""
        result = np.empty(coordinates.shape, np.int8)
        for start in range(0, len(result), _BLOCK):
            steps = np.rint((coordinates[start : start + _BLOCK] - self.middle) / self.steps)
            result[start : start + _BLOCK] = np.clip(steps, -_LAST, _LAST)
        return result

    @property
    def clipped(self) -> int:
        """How many rows are at a last step, as those are that lie beyond: they look nearer than they are."""
        return int(np.count_nonzero((np.abs(self.numbers) == _LAST).any(1)))

    def coordinates(self, query: Vector) -> Vector:
        """Of a query, D -> d."""
        return products(self.basis, query)

    def similarities(self, coordinates: Vector, which: NDArray[np.int64]) -> Vector:
        """Estimated products of some rows with a query.

        Args:
            coordinates: d, of the query.
            which: w row numbers below n, which is not checked.

        Returns:
            w, whose error is not bounded; NaN for a row number below 0.
        """
        estimates: Vector = _estimates(self.numbers, plain(which, np.int64), coordinates * self.steps)
        return estimates + coordinates @ self.middle

    def take(self, which: NDArray[np.int64]) -> Sketches:
        """Those of some rows."""
        return replace(self, numbers=self.numbers[which])


def along(rows: Rows, basis: Rows) -> Rows:
    """Coordinates of n×D rows along d×D directions: n×d. Where a row is not finite they are 0."""
    directions, result = torch.from_numpy(basis).float().T.contiguous(), np.empty((len(rows), len(basis)), np.float16)
    for start in range(0, len(rows), _BLOCK):
        part = torch.from_numpy(rows[start : start + _BLOCK]).float() @ directions
        result[start : start + _BLOCK] = part.half().nan_to_num(0, 0, 0).numpy()
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
