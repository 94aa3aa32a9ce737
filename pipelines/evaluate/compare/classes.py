"""Classes: what each system reaches on the queries about one class, and where it fails most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics import Counts, Floats
from ..query_table import RANDOM
from .comparison import counted_queries, zero_of
from .runs import System

MEASURE = "MAP@all"
_FEWEST = 10  # queries about a class that say something of it: of one or two, what chance has drawn


@dataclass(frozen=True)
class ClassFigures:
    """MAP@all of retrieval, by class; K classes, S systems.

    Attributes:
        classes: K (attribute, class).
        queries: K.
        chance: K, what a random ranking scores.
        mean: S×K, over queries and runs.
    """

    classes: tuple[tuple[str, str], ...]
    queries: Counts
    chance: Floats
    mean: Floats

    def worst(self, system: int, number: int) -> list[int]:
        """Positions of the classes on which a system makes least of what chance leaves, (mean − chance)/(1 − chance).

        The worst first, ties by position; of the classes with ten queries at least, if there are such.
        """
        left = np.maximum(1 - self.chance, np.finfo(np.float64).tiny)
        return self._first((self.mean[system] - self.chance) / left, number)

    def differing(self, system: int, number: int) -> list[int]:
        """Positions of the classes on which a system and the first differ most, chosen likewise."""
        return self._first(-np.abs(self.mean[system] - self.mean[0]), number)

    def falling(self, system: int, number: int) -> list[int]:
        """Positions of the classes on which a system falls short of the first by most, chosen likewise."""
        change = self.mean[system] - self.mean[0]
        return [k for k in self._first(change, number) if change[k] < 0]

    def _first(self, values: Floats, number: int) -> list[int]:
        often = np.flatnonzero(self.queries >= min(_FEWEST, self.queries.max()))
        chosen: list[int] = often[np.argsort(values[often], kind="stable")[:number]].tolist()
        return chosen


def per_class(systems: Sequence[System]) -> ClassFigures | None:
    """Means of the queries about each class, in the order of the table; None where no query is about one.

    Args:
        systems: comparable ones.
    """
    tables = [[counted_queries(run.queries, "retrieval", zero_of(system)) for run in system.runs] for system in systems]
    first = tables[0][0]
    names: dict[tuple[str, str], int] = {}
    rows, codes = [], []
    about = zip(first["attribute"].to_pylist(), first["class"].to_pylist(), strict=True)
    for row, (attribute, name) in enumerate(about):
        if name is not None:
            rows.append(row)
            codes.append(names.setdefault((attribute, name), len(names)))
    if not rows:
        return None
    number = np.bincount(codes)

    def means(values: Floats) -> Floats:
        return np.asarray(np.bincount(codes, values[rows]) / number, np.float64)

    return ClassFigures(
        classes=tuple(names),
        queries=number,
        chance=means(first[RANDOM + MEASURE].to_numpy()),
        mean=np.stack([means(np.mean([part[MEASURE].to_numpy() for part in parts], axis=0)) for parts in tables]),
    )
