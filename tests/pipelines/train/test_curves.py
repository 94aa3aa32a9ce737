"""The picture of a run, whatever its attributes are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipelines.train.curves import draw_curves


@pytest.mark.parametrize("name", ["collar", "size_$_and_$", "_hidden", "Kragen “ü”", "$x^$ y"])
def test_any_attribute_name(tmp_path: Path, name: str) -> None:
    losses = dict.fromkeys(("loss", "loss_classification", "loss_prototype", "loss_instance"), 1.0)
    history = [{"epoch": n, **losses, "map": 0.1 * n, f"map/{name}": 0.1 * n, "best": True} for n in (1, 2)]
    draw_curves(history, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 500
