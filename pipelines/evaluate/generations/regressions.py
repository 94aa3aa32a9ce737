"""What gets worse: the classes that lose most, and the queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..compare.classes import ClassFigures
from ..compare.sheets import Shown, choose
from ..tables import Table, percent

_SHOWN = 10
_FEWEST = 10  # queries about a class that say something of it
WORSE = "among those that got worse most"


def worse_classes(figures: ClassFigures, names: Sequence[str]) -> Table:
    """The classes whose MAP@all falls most, of each generation but the first: at most ten each."""
    rows = []
    often = np.flatnonzero(figures.queries >= min(_FEWEST, int(figures.queries.max())))
    for s, name in enumerate(names[1:], 1):
        change = figures.mean[s] - figures.mean[0]
        for k in often[np.argsort(change[often], kind="stable")][:_SHOWN].tolist():
            if change[k] >= 0:
                break
            attribute, chosen = figures.classes[k]
            values = (figures.chance[k], figures.mean[0, k], figures.mean[s, k])
            cells = (f"{figures.queries[k]:,}", *map(percent, values), f"{100 * change[k]:+.2f}")
            rows.append((name, f"{attribute}: {chosen}", *cells))
    note = (
        f"MAP@all over the queries about a class, of classes with {_FEWEST} queries or more if there are such; of few "
        "queries much is chance. Empty where none got worse"
    )
    columns = ("%", "class", "queries", "random", names[0], "then", "points")
    return Table("Which classes get worse", (note,), columns, tuple(rows))


def worse_queries(shown: Sequence[Shown], number: int, seed: int) -> dict[str, list[tuple[int, str]]]:
    """Queries of each attribute for the contact sheets: some at random, and those that lose most in any generation."""
    loss = shown[0].scores - np.min([one.scores for one in shown[1:]], axis=0)
    return choose(shown[0].queries, loss, number, seed, WORSE)
