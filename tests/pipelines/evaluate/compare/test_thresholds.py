"""Curves over γ: the runs' own figures, and their mean over seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluate.compare.runs import Run, join_seeds, load_run
from pipelines.evaluate.compare.thresholds import threshold_curves

from .made_runs import OWN_THRESHOLD, make_runs, system, write_run


def studied(folder: Path, seed: int, name: str, *thresholds: float) -> Run:
    return load_run(write_run(folder, system(seed), name, sensitivity={"thresholds": thresholds}))


def test_they_are_the_means_of_the_reports(tmp_path: Path) -> None:
    runs = [
        studied(tmp_path / "a", 0, "m3net", 0.2, 0.7, 0.9),
        studied(tmp_path / "b", 1, "asen", 0.3),
        studied(tmp_path / "c", 2, "m3net", 0.9, 0.2, 0.4),
        *make_runs(tmp_path, d="csn"),  # has not tried any
    ]
    m3net, asen = threshold_curves(join_seeds(runs, each=False))
    assert (m3net.system, m3net.thresholds, m3net.own) == ("m3net", (0.2, OWN_THRESHOLD, 0.9), (OWN_THRESHOLD,))
    assert (asen.system, asen.thresholds) == ("asen", (0.3, OWN_THRESHOLD))
    assert list(m3net.maps) == ["print", "overall"]
    for name, values in m3net.maps.items():
        for threshold, value in zip(m3net.thresholds, values, strict=True):
            of_runs = []
            for run in (runs[0], runs[2]):
                study = run.report["sensitivity"]
                of_runs.append(study["MAP@all"][name][study["thresholds"].index(threshold)])
            assert value == pytest.approx(np.mean(of_runs))
    own = asen.thresholds.index(OWN_THRESHOLD)
    assert asen.maps["overall"][own] == pytest.approx(runs[1].report["retrieval"]["overall"]["values"]["MAP@all"])
    assert [one.system for one in threshold_curves(join_seeds(runs, each=True))] == ["m3net, a", "asen", "m3net, c"]


def test_a_system_of_which_one_seed_has_not_tried_any_has_no_curve(tmp_path: Path) -> None:
    runs = [studied(tmp_path / "a", 0, "m3net", 0.2), *make_runs(tmp_path, d="m3net")]
    assert threshold_curves(join_seeds(runs, each=False)) == []
