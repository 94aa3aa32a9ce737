"""The picture of a run: loss and validation MAP by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.figure


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """Write a PNG of the losses (left) and of MAP@all on the val split (right), by epoch."""
    figure = matplotlib.figure.Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [entry["epoch"] for entry in history]
    for name in [key for key in history[-1] if key.startswith("loss") and history[-1][key]]:
        left.plot(epochs, [entry[name] for entry in history], label=name.removeprefix("loss_"))
    drawn = [entry[name] for entry in history for name in entry if name.startswith("loss")]
    left.set(xlabel="epoch", ylabel="loss", yscale="log" if min(drawn) >= 0 else "linear")
    left.legend()
    validated = [entry for entry in history if "map" in entry]
    for name in sorted({key for entry in validated for key in entry if key.startswith("map")}):
        # Not as mathematics, and without the leading underscore that hides an entry of the legend.
        label = "all queries" if name == "map" else name.removeprefix("map/").replace("$", r"\$").lstrip("_")
        points = [(entry["epoch"], entry[name]) for entry in validated if entry.get(name) is not None]
        right.plot(*zip(*points, strict=True), label=label, linewidth=2.5 if name == "map" else 1)
    best = [entry for entry in validated if entry["best"]]
    if best:
        right.axvline(best[-1]["epoch"], color="grey", linestyle=":", label="kept")
        right.legend(fontsize="small")
    right.set(xlabel="epoch", ylabel="MAP@all on val", ylim=(0, 1))
    figure.savefig(path, dpi=110)
