"""Every recipe is one that `duet train` takes, and says which system it is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from model.systems import SYSTEMS
from pipelines.train.settings import TrainSettings

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def settings_of(path: Path) -> TrainSettings:
    return TrainSettings(**{"manifest": ["x.parquet"], "out": Path("run"), **tomllib.loads(path.read_text("utf-8"))})


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: path.relative_to(RECIPES).as_posix())
def test_recipe_is_whole(path: Path) -> None:
    settings = settings_of(path)
    if path.parent != RECIPES:
        assert settings.encoder.system == path.stem


def test_every_system_has_a_small_recipe_with_the_same_budget() -> None:
    small = {path.stem: settings_of(path) for path in (RECIPES / "small").glob("*.toml")}
    assert small.keys() == SYSTEMS.keys()
    budgets = {(s.epochs, s.batch, s.encoder.backbone, s.encoder.stem, s.image.height, s.image.width)
               for s in small.values()}  # fmt: skip
    assert len(budgets) == 1
