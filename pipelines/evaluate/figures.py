"""An evaluation's figures as JSON: in 0..1, null where there was no query."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .manipulation import ManipulationResult, ManipulationScores
from .retrieval import RetrievalResult
from .scores import CURVE, Summary
from .triplets import TripletAccuracy


def figures(summary: Summary) -> dict[str, Any]:
    """The means of some queries."""

    def known(values: Mapping[str, float]) -> dict[str, float | None]:
        return dict(zip(values, map(_known, values.values()), strict=True))

    return {
        "queries": summary.queries,
        "without_relevant": summary.without_relevant,
        "values": known(summary.values),
        "random": known(summary.chance),
        "ceiling": known(summary.ceiling),
    }


def retrieval_figures(result: RetrievalResult) -> dict[str, Any]:
    """Per attribute, overall and macro; and the curves over K."""
    parts = {"overall": result.overall, "macro": result.macro}
    return {
        "attributes": {name: figures(summary) for name, summary in result.summaries.items()},
        **{name: figures(summary) for name, summary in parts.items()},
        "curves": {
            "k": list(CURVE),
            "attributes": {name: _curves(summary) for name, summary in result.summaries.items()},
            **{name: _curves(summary) for name, summary in parts.items()},
        },
    }


def manipulation_figures(result: ManipulationResult) -> dict[str, Any]:
    """Per attribute, and the plain means over attributes; of several changes, by how many they are."""

    def parts(scores: Mapping[str, ManipulationScores]) -> dict[str, Any]:
        return {name: {"available": part.available, **figures(part.summary)} for name, part in scores.items()}

    def several(scores: Mapping[int, ManipulationScores]) -> list[dict[str, Any]]:
        return [
            {"attributes": size, "available": part.available, **figures(part.summary)} for size, part in scores.items()
        ]

    return {
        "replaced": parts(result.single),
        "replaced_mean": figures(result.single_mean) if result.single_mean else None,
        "added_or_removed": parts(result.multi),
        "added_or_removed_mean": figures(result.multi_mean) if result.multi_mean else None,
        "several_replaced": several(result.several_single),
        "several_added_or_removed": several(result.several_multi),
    }


def triplet_figures(result: TripletAccuracy) -> dict[str, Any]:
    """Per attribute and overall, and what was left out."""
    return {
        "attributes": {
            name: {"triplets": len(part.scores), "accuracy": part.accuracy} for name, part in result.attributes.items()
        },
        "overall": {"triplets": len(result), "accuracy": _known(result.overall)},
        "unknown_items": result.unknown_items,
        "unknown_attributes": result.unknown_attributes,
    }


def _curves(summary: Summary) -> dict[str, list[float | None]]:
    return {name: _all_known(values) for name, values in summary.curves.items()}


def _all_known(values: Iterable[float]) -> list[float | None]:
    return [_known(value) for value in values]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
