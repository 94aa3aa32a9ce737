"""Which items are predicted to carry which classes of one attribute, and how probably."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.errors import StoreError

_MASKS = 64  # of the classes last asked for, N bytes each: as many as a condition may name


@dataclass(frozen=True)
class CarriedClasses:
    """One attribute's predictions as (item, class, probability) triples, sorted by item.

    Args:
        count: N, items of the snapshot.
        item: positions 0..N−1.
        code: positions of the classes within the attribute.
        probability: in [0, 1].
    """

    count: int
    item: NDArray[np.int32]
    code: NDArray[np.int32]
    probability: NDArray[np.float32]
    _masks: OrderedDict[int, NDArray[np.bool_]] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def read(cls, rows: pa.Table, position: NDArray[np.int64], classes: tuple[str, ...]) -> CarriedClasses:
        """From an attribute table's columns ``classes`` and ``probabilities``.

        Args:
            rows: n of them.
            position: n, each row's item.
            classes: of the attribute, in the taxonomy's order.

        Raises:
            StoreError: a class that the taxonomy does not know, or lists that do not fit each other.
        """
        names = rows.column("classes").combine_chunks()
        code = pc.index_in(pc.list_flatten(names), value_set=pa.array(classes, pa.string()))
        probability = pc.list_flatten(rows.column("probabilities").combine_chunks())
        if code.null_count or len(code) != len(probability):
            raise StoreError("an attribute table's predicted classes do not fit its taxonomy; ingest it anew")
        item = position[pc.list_parent_indices(names).to_numpy()]
        order = np.lexsort((code.to_numpy(), item))
        values = code.to_numpy().astype(np.int32), probability.to_numpy().astype(np.float32)
        return cls(len(position), item.astype(np.int32)[order], *(value[order] for value in values))

    def carry(self, code: int) -> NDArray[np.bool_]:
        """Which items carry a class: N bool, not to be written to."""
        with self._lock:
            mask = self._masks.pop(code, None)
            if mask is None:
                mask = np.zeros(self.count, np.bool_)
                mask[self._by_code[0][self._rows(code)]] = True
            self._masks[code] = mask
            if len(self._masks) > _MASKS:
                self._masks.popitem(last=False)
        return mask

    def number(self, code: int) -> int:
        """How many items carry a class."""
        rows = self._rows(code)
        return int(rows.stop - rows.start)

    def probabilities(self, code: int, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of w items to carry a class: w; NaN for those that are not predicted to."""
        rows = self._rows(code)
        carriers = self._by_code[0][rows]
        if not len(carriers):
            return np.full(len(items), np.nan, np.float32)
        place = np.minimum(np.searchsorted(carriers, items.astype(np.int32)), len(carriers) - 1)
        return np.where(carriers[place] == items, self._by_code[2][rows][place], np.float32(np.nan))

    def of(self, item: int) -> dict[int, float]:
        """One item's classes (codes) with their probabilities."""
        start = bisect_left(self._items, item)
        end = bisect_left(self._items, item + 1, start)
        return dict(zip(self.code[start:end].tolist(), self.probability[start:end].tolist(), strict=True))

    def _rows(self, code: int) -> slice:
        """Of a class in what is sorted by code."""
        return slice(bisect_left(self._codes, code), bisect_left(self._codes, code + 1))

    @cached_property
    def _items(self) -> memoryview[int]:
        return self.item.data

    @cached_property
    def _codes(self) -> memoryview[int]:
        return self._by_code[1].data

    @cached_property
    def _by_code(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """The triples sorted by code."""
        order = np.argsort(self.code, kind="stable")
        return self.item[order], self.code[order], self.probability[order]
