"""How much of what a search finds stays the same: also where nothing is labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..chunks import in_chunks
from ..embedded import Embedded
from ..gallery import Gallery
from ..metrics import Counts, Floats
from ..tables import Table, percent

_K = 10


@dataclass(frozen=True)
class Overlap:
    """Of S generations against the first, by attribute.

    Attributes:
        k: nearest items of each query that are compared.
        same: S×N×A: share of an item's k nearest in one that are among its k nearest in the first.
        classes: S×A: share of items of which both predict the same classes.
    """

    k: int
    same: Floats
    classes: Floats


def measure_overlap(generations: Sequence[Embedded]) -> Overlap:
    """Every item asks for its k nearest among the others, as `Gallery` ranks them.

    Args:
        generations: of the same N ≥ 2 items and the same taxonomy.
    """
    first = generations[0]
    count, taxonomy, k = len(first), first.taxonomy, min(_K, len(first) - 1)
    same = np.empty((len(generations), count, len(taxonomy.attributes)))
    classes = np.empty((len(generations), len(taxonomy.attributes)))
    for n in range(len(taxonomy.attributes)):
        span = taxonomy.span(n)
        reference = _nearest(first, n, k)
        for s, other in enumerate(generations):
            found = _nearest(other, n, k)
            same[s, :, n] = (found[:, :, None] == reference[:, None, :]).any(2).mean(1)
            classes[s, n] = (other.predicted[:, span] == first.predicted[:, span]).all(1).mean()
    return Overlap(k, same, classes)


def overlap_table(overlap: Overlap, attributes: Sequence[str], names: Sequence[str]) -> Table:
    """A row for each generation but the first, and measure."""
    rows = [
        (measure, names[s], *map(percent, values[s]), percent(float(values[s].mean())))
        for measure, values in _measures(overlap).items()
        for s in range(1, len(names))
    ]
    notes = (
        f"overlap@{overlap.k}: of the {overlap.k} items, among those compared, that are nearest to one in {names[0]}, "
        "the share that the other finds as well; none of them: items of which it finds none",
        "same classes: items of which both predict the same, classes that only one of them knows included",
    )
    return Table("What stays the same", notes, ("%", "", *attributes, "macro"), tuple(rows))


def overlap_rows(overlap: Overlap, attributes: Sequence[str], names: Sequence[str]) -> Iterator[dict[str, object]]:
    """The same, for `..compare.tables.csv_text`: of the task ``overlap``."""
    for measure, values in _measures(overlap).items():
        for s in range(1, len(names)):
            for column, value in zip(attributes, values[s], strict=True):
                row = {"task": "overlap", "measure": measure, "column": column, "queries": overlap.same.shape[1]}
                yield {**row, "system": names[s], "kind": "system", "runs": 1, "value": float(value)}


def _measures(overlap: Overlap) -> dict[str, Floats]:
    """By name: S×A."""
    return {
        f"overlap@{overlap.k}": overlap.same.mean(1),
        "none of them": (overlap.same == 0).mean(1),
        "same classes": overlap.classes,
    }


def _nearest(embedded: Embedded, n: int, k: int) -> NDArray[np.int64]:
    """N×k positions in the gallery, which is in the order of the ids, best first, without the item itself."""
    gallery = Gallery(embedded, n, np.arange(len(embedded)))
    condition = embedded.predicted[:, embedded.taxonomy.span(n)] & embedded.class_first

    def ranked(part: Counts) -> NDArray[np.int64]:
        return gallery.rank(part, condition[part], k)  # k < N, and the item itself stands last

    return np.concatenate(in_chunks(len(embedded), len(embedded), ranked))
