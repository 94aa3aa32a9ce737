"""Charts are pictures of the figures: other figures, other pictures."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.evaluate.compare.charts import draw_curves, draw_scatters, draw_thresholds
from pipelines.evaluate.compare.classes import ClassFigures
from pipelines.evaluate.compare.runs import join_seeds
from pipelines.evaluate.compare.thresholds import ThresholdCurves

from .made_runs import make_runs


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_curves(tmp_path: Path) -> None:
    runs = make_runs(tmp_path, a="m3net", b="$asen", c="m3net")
    both, one = (pixels(draw_curves(join_seeds(part, each=False))) for part in (runs, runs[:1]))
    assert both.shape == one.shape and (both != one).any()


def test_thresholds() -> None:
    maps = {"$marks": np.array([0.2, 0.4]), "overall": np.array([0.3, np.nan])}
    one = ThresholdCurves("_m3net", (0.1, 0.5), (0.5,), maps)
    other = ThresholdCurves("asen", (0.1, 0.3, 0.5), (0.3,), {"overall": np.array([0.1, 0.2, 0.3])})
    alone, both, unmarked = (
        draw_thresholds(curves) for curves in ([one], [one, other], [one, dataclasses.replace(other, own=())])
    )
    assert draw_thresholds([]) is None and alone is not None and both is not None and unmarked is not None
    assert pixels(alone).shape == pixels(both).shape  # a panel for each heading
    assert (pixels(alone) != pixels(both)).any() and (pixels(unmarked) != pixels(both)).any()
    more = draw_thresholds([dataclasses.replace(other, maps=dict.fromkeys(["overall", *"abc"], other.maps["overall"]))])
    assert more is not None and pixels(more).shape[0] > pixels(both).shape[0]


def test_scatters() -> None:
    rng = np.random.default_rng(0)
    classes = tuple((f"_attribute {n}", f"${m}") for n in range(3) for m in range(4))
    figures = ClassFigures(classes, rng.integers(1, 50, 12), rng.random(12), rng.random((5, 12)))
    names = ["m3net", "asen", "c$n", "_triplet", "agman"]
    two, five = (draw_scatters(figures, names[:count]) for count in (2, 5))
    assert two is not None and five is not None and draw_scatters(figures, names[:1]) is None
    assert pixels(five).shape[0] > pixels(two).shape[0] and pixels(five).shape[1] > pixels(two).shape[1]
