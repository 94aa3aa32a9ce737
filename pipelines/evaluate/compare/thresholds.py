"""MAP@all over γ, the threshold of predicted classes, of the systems whose evaluations have tried several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..metrics import Floats
from .runs import System


@dataclass(frozen=True)
class ThresholdCurves:
    """MAP@all of one system at T thresholds.

    Attributes:
        system: its name.
        thresholds: T, ascending: those that all its runs have tried.
        own: of `thresholds`, those that its runs were evaluated with.
        maps: by multi-label attribute, then ``overall``: T values, the mean over runs; NaN without queries.
    """

    system: str
    thresholds: tuple[float, ...]
    own: tuple[float, ...]
    maps: Mapping[str, Floats]


def threshold_curves(systems: Sequence[System]) -> list[ThresholdCurves]:
    """The systems of which every run has the study (`sensitivity`), with a threshold in common."""
    result = []
    for system in systems:
        studies = [run.report["sensitivity"] for run in system.runs if run.report.get("sensitivity")]
        if len(studies) < len(system.runs):
            continue
        common = sorted(set.intersection(*(set(study["thresholds"]) for study in studies)))
        maps = {
            name: np.mean([_at(study, name, common) for study in studies], axis=0) for name in studies[0]["MAP@all"]
        }
        own = sorted({study["threshold"] for study in studies} & set(common))
        if common:
            result.append(ThresholdCurves(system.name, tuple(common), tuple(own), maps))
    return result


def _at(study: Mapping[str, Any], name: str, thresholds: Sequence[float]) -> Floats:
    """A run's MAP@all of one attribute at some of its thresholds."""
    values = dict(zip(study["thresholds"], study["MAP@all"][name], strict=True))
    return np.array([values[threshold] for threshold in thresholds], np.float64)
