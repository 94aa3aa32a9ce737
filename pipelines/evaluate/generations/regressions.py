"""What gets worse: the classes that lose most, and the queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..compare.classes import ClassFigures
from ..compare.sheets import Shown, choose
from ..tables import Table, percent

_SHOWN = 10
WORSE = "among those that got worse most"


def worse_classes(figures: ClassFigures, names: Sequence[str]) -> Table:
    """The classes whose MAP@all falls most, of each generation but the first: at most ten each."""
    rows = []
    for s, name in enumerate(names[1:], 1):
        for k in figures.falling(s, _SHOWN):
            attribute, chosen = figures.classes[k]
            before, then = figures.mean[0, k], figures.mean[s, k]
            cells = (f"{figures.queries[k]:,}", *map(percent, (figures.chance[k], before, then)))
            rows.append((name, f"{attribute}: {chosen}", *cells, f"{100 * (then - before):+.2f}"))
    note = (
        "MAP@all over the queries about a class, of classes with ten queries or more if there are such; of few queries "
        "much is chance. Empty where none got worse"
    )
    columns = ("%", "class", "queries", "random", names[0], "then", "points")
    return Table("Which classes get worse", (note,), columns, tuple(rows))


def worse_queries(shown: Sequence[Shown], number: int, seed: int) -> dict[str, list[tuple[int, str]]]:
    """Queries of each attribute for the contact sheets: some at random, and those that lose most in any generation."""
    loss = shown[0].scores - np.min([one.scores for one in shown[1:]], axis=0)
    return choose(shown[0].queries, loss, number, seed, WORSE)
