"""Loops that are compiled: they copy nothing, and hold no lock of Python's while they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def compiled(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function for arguments of one kind.

    It takes a second, so once for a machine where the result can be kept. Sums may be taken in any order, but always in
    the same one.

    Args:
        kind: Numba's signature.
    """
    settings: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract"}}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return njit(kind, cache=True, **settings)(function)
        except (RuntimeError, OSError):  # no folder can be written to
            return njit(kind, **settings)(function)

    return decorate


def plain(array: NDArray[Any], kind: type[Number]) -> NDArray[Number]:
    """The array as compiled loops want theirs: of this kind, contiguous and writable; a copy if it is not."""
    assert array.dtype.kind == np.dtype(kind).kind
    return array if array.dtype == kind and array.flags.carray else np.array(array, kind, order="C")
