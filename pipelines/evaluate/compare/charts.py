"""Charts of a comparison, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib.figure
import numpy as np
from matplotlib import colormaps

from ..metrics import Floats
from .classes import ClassFigures
from .runs import Run, System
from .thresholds import ThresholdCurves

_COLUMNS = 3  # scatters, or curves over γ, beside each other
_NAMED = 4  # classes named in each scatter


def draw_curves(systems: Sequence[System]) -> bytes:
    """MAP@K (left) and Recall@K (right) over K, over all queries; dotted: chance."""
    figure = matplotlib.figure.Figure(figsize=(11, 4.2), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("MAP", "Recall"), strict=True):
        first = systems[0].runs[0]
        ks = first.report["retrieval"]["curves"]["k"]
        for system in systems:
            curves = [_curve(run, measure) for run in system.runs]
            axes.plot(ks, np.mean(curves, axis=0), marker=".", label=_plain(system.name))
        axes.plot(ks, _curve(first, f"random {measure}"), color="grey", linestyle=":", label="random")
        axes.set(xlabel="K", ylabel=f"{measure}@K", xscale="log", ylim=(0, None))
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return _png(figure)


def draw_scatters(figures: ClassFigures, systems: Sequence[str]) -> bytes | None:
    """MAP@all per class of the first system (across) against each other one (up); None without another.

    A dot is a class, its area the number of its queries, its colour the attribute; above the diagonal the other wins.
    """
    others = range(1, len(systems))
    if not others:
        return None
    width, height = min(_COLUMNS, len(others)), -(-len(others) // _COLUMNS)
    figure = matplotlib.figure.Figure(figsize=(4.6 * width + 2, 4.4 * height), layout="constrained")
    grid = figure.subplots(height, width, squeeze=False).ravel()
    attributes = list(dict.fromkeys(attribute for attribute, _ in figures.classes))
    area = 10 + 140 * figures.queries / figures.queries.max()
    colours = colormaps["tab10" if len(attributes) <= 10 else "tab20"]
    for other, axes in zip(others, grid, strict=False):
        for n, attribute in enumerate(attributes):
            own = [k for k, (name, _) in enumerate(figures.classes) if name == attribute]
            colour = colours(n % colours.N)
            across, up = figures.mean[0, own], figures.mean[other, own]
            axes.scatter(across, up, area[own], color=colour, alpha=0.7, label=_plain(attribute))
        axes.axline((0, 0), slope=1, color="grey", linewidth=0.8)
        for k in figures.differing(other, _NAMED):
            at = figures.mean[0, k], figures.mean[other, k]
            axes.annotate(_plain(figures.classes[k][1]), at, (4, 4), textcoords="offset points", fontsize=8)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel=_plain(systems[0]), ylabel=_plain(systems[other]))
    for axes in grid[len(others) :]:
        axes.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small")
    return _png(figure)


def draw_thresholds(curves: Sequence[ThresholdCurves]) -> bytes | None:
    """MAP@all over γ, of all queries and of each multi-label attribute; a ring: γ of the evaluation itself.

    None without a curve.
    """
    headings = list(dict.fromkeys(name for curve in curves for name in ("overall", *curve.maps)))
    if not headings:
        return None
    width, height = min(_COLUMNS, len(headings)), -(-len(headings) // _COLUMNS)
    figure = matplotlib.figure.Figure(figsize=(4.6 * width + 1, 3.6 * height), layout="constrained")
    grid = figure.subplots(height, width, squeeze=False).ravel()
    for name, axes in zip(headings, grid, strict=False):
        for n, curve in enumerate(curves):
            if name in curve.maps:
                own = [curve.thresholds.index(threshold) for threshold in curve.own]
                style = {"color": f"C{n}", "markersize": 11, "markerfacecolor": "none"}
                axes.plot(curve.thresholds, curve.maps[name], ".-", color=f"C{n}", label=_plain(curve.system))
                axes.plot(np.take(curve.thresholds, own), curve.maps[name][own], "o", **style)
        axes.set(title=_plain(name), xlabel="γ", ylabel="MAP@all", xlim=(0, 1))
        axes.grid(alpha=0.3)
    for axes in grid[len(headings) :]:
        axes.set_axis_off()
    grid[0].legend(fontsize="small")
    return _png(figure)


def _curve(run: Run, name: str) -> Floats:
    """Of all queries; NaN where it has none."""
    return np.array(run.report["retrieval"]["curves"]["overall"][name], np.float64)


def _plain(text: str) -> str:
    """Not as mathematics, and without the leading underscore that hides an entry of the legend."""
    return text.replace("$", r"\$").lstrip("_")


def _png(figure: matplotlib.figure.Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()
