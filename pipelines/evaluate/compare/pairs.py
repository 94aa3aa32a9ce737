"""Co-occurring classes: the pairs of classes of a multi-label attribute that most items carry together, and how each
system finds the items that carry both (M3-Net §4.3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics import Counts, Floats
from ..query_table import RANDOM
from .comparison import with_task
from .runs import System

MEASURE = "MAP@all"


@dataclass(frozen=True)
class PairFigures:
    """MAP@all of the queries that ask for two classes of one attribute; P pairs, S systems.

    Attributes:
        attribute: its name.
        systems: names, S.
        pairs: P, the most frequent first.
        together: P, items of the gallery that carry both, beside the query itself; the mean over queries.
        queries: P.
        chance: P, what a random ranking scores.
        mean: S×P, over queries and runs.
    """

    attribute: str
    systems: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    together: Floats
    queries: Counts
    chance: Floats
    mean: Floats


def co_occurring(systems: Sequence[System]) -> list[PairFigures]:
    """All pairs that are asked for, by attribute, of the systems whose runs were asked for sets of classes.

    Args:
        systems: comparable ones.
    """
    having = with_task(systems, "multilabel")
    if not having:
        return []
    first = having[0][1][0]
    attributes, sets = first["attribute"].to_pylist(), first["set"].to_pylist()
    asked: dict[str, dict[tuple[str, str], list[int]]] = {}
    for row, (attribute, names) in enumerate(zip(attributes, sets, strict=True)):
        if len(names) == 2:
            asked.setdefault(attribute, {}).setdefault((names[0], names[1]), []).append(row)
    values = np.stack([np.mean([part[MEASURE].to_numpy() for part in parts], axis=0) for _, parts in having])
    chance, relevant = first[RANDOM + MEASURE].to_numpy(), first["relevant"].to_numpy()
    result = []
    for attribute, pairs in asked.items():
        # Ties in the order of the table, that is, of item ids.
        often = sorted(pairs, key=lambda pair: -float(relevant[pairs[pair]].mean()))
        rows = [pairs[pair] for pair in often]
        result.append(
            PairFigures(
                attribute=attribute,
                systems=tuple(system.name for system, _ in having),
                pairs=tuple(often),
                together=np.array([relevant[own].mean() for own in rows]),
                queries=np.array([len(own) for own in rows]),
                chance=np.array([chance[own].mean() for own in rows]),
                mean=np.stack([values[:, own].mean(1) for own in rows], 1),
            )
        )
    return result
