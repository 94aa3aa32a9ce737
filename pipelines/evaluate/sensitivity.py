"""What MAP@all owes to γ, the threshold above which a class counts as predicted (M3-Net's supplement).

γ makes the tiers of multi-label attributes, of queries and candidates alike; of a single-label attribute the best class
is predicted whatever γ is. One embedding serves every γ, since a higher one predicts some of the same classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model.duet import predicted_classes

from . import metrics
from .chunks import in_chunks
from .embedded import Embedded
from .metrics import Floats
from .retrieval import AttributeQueries, RetrievalResult
from .roles import Roles
from .settings import RetrievalSettings
from .tables import Table, percent


@dataclass(frozen=True)
class Sensitivity:
    """MAP@all at T thresholds.

    Attributes:
        threshold: γ of the evaluation itself.
        thresholds: T, ascending; `threshold` is among them.
        maps: of each multi-label attribute, then of all queries of all attributes (``overall``): T in [0, 1], NaN
            without queries.
        chance: of the same, what a random ranking scores.
    """

    threshold: float
    thresholds: tuple[float, ...]
    maps: Mapping[str, tuple[float, ...]]
    chance: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """In 0..1; null where there was no query."""

        def known(value: float) -> float | None:
            return None if math.isnan(value) else value

        return {
            "threshold": self.threshold,
            "thresholds": list(self.thresholds),
            "MAP@all": {name: [known(value) for value in values] for name, values in self.maps.items()},
        }

    def table(self, system: str) -> Table:
        """A column for each γ, the evaluation's own in bold."""
        rows = []
        for name, values in self.maps.items():
            rows.append((name, "random", *[percent(self.chance[name])] * len(values)))
            rows.append((name, system, *map(percent, values)))
        own = 2 + self.thresholds.index(self.threshold)
        note = f"MAP@all where the classes above γ are predicted; in bold the γ of all other tables, {self.threshold:g}"
        columns = ("%", "", *(f"γ = {threshold:g}" for threshold in self.thresholds))
        bold = frozenset((row, own) for row in range(1, len(rows), 2))
        return Table("Sensitivity to the threshold of predicted classes", (note,), columns, tuple(rows), bold)


def evaluate_sensitivity(
    embedded: Embedded, result: RetrievalResult, roles: Roles, threshold: float, thresholds: Sequence[float]
) -> Sensitivity | None:
    """Rank the galleries of the multi-label attributes once for each γ; None without such an attribute.

    Args:
        embedded: with the class embeddings of the lowest γ (`embedded.embed`).
        result: of retrieval at `threshold`, with the same roles.
        roles: who is a query and who is in the gallery.
        threshold: γ that `embedded.predicted` was made with.
        thresholds: γ in (0, 1), any order.
    """
    taxonomy, settings = embedded.taxonomy, result.settings
    several = [n for n, attribute in enumerate(taxonomy.attributes) if attribute.multi_label]
    if not several:
        return None
    grid = tuple(sorted({threshold, *thresholds}))
    maps: dict[str, list[float]] = {name: [] for name in (*(taxonomy.names[n] for n in several), "overall")}
    relevant = {name: scores.relevant for name, scores in result.attributes.items()}
    for gamma in grid:
        values = {name: scores.values["MAP@all"] for name, scores in result.attributes.items()}
        if gamma != threshold and embedded.class_first:
            at = at_threshold(embedded, gamma)
            values |= {taxonomy.names[n]: _average_precision(at, n, settings, roles) for n in several}
        for n in several:
            name = taxonomy.names[n]
            maps[name].append(metrics.mean(values[name], relevant[name], settings.zero))
        every = np.concatenate([values[name] for name in relevant]), np.concatenate(list(relevant.values()))
        maps["overall"].append(metrics.mean(*every, settings.zero))
    chance = {name: summary.chance["MAP@all"] for name, summary in result.summaries.items()}
    chance["overall"] = result.overall.chance["MAP@all"]
    return Sensitivity(
        threshold,
        grid,
        {name: tuple(values) for name, values in maps.items()},
        {name: chance[name] for name in maps},
    )


def at_threshold(embedded: Embedded, threshold: float) -> Embedded:
    """The same items with the classes that another γ predicts."""
    chosen = predicted_classes(torch.from_numpy(embedded.probabilities), embedded.taxonomy, threshold)
    return dataclasses.replace(embedded, predicted=chosen.numpy())


def _average_precision(embedded: Embedded, attribute: int, settings: RetrievalSettings, roles: Roles) -> Floats:
    """AP@all of every query of one attribute."""
    queries = AttributeQueries(embedded, attribute, settings, roles)

    def score(rows: metrics.Counts) -> Floats:
        return metrics.average_precision(queries.hits(rows)[0])

    return np.concatenate(in_chunks(len(queries), len(queries.gallery), score))
