"""Every recipe is one that `duet train` takes, and says which system it is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from model.systems import SYSTEMS
from pipelines.train.settings import AugmentationSection, OptimizerSection, TrainSettings

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def settings_of(path: Path) -> TrainSettings:
    return TrainSettings(**{"manifest": ["x.parquet"], "out": Path("run"), **tomllib.loads(path.read_text("utf-8"))})


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.toml")), ids=lambda path: path.relative_to(RECIPES).as_posix())
def test_recipe_is_whole(path: Path) -> None:
    settings = settings_of(path)
    if path.parent.name == "ablation":
        assert (settings.encoder.system, settings.encoder.switches) == ("posterior", [path.stem])
        whole = settings_of(RECIPES / "small" / "posterior.toml").identity()
        assert {name for name, value in settings.identity().items() if value != whole[name]} == {"encoder"}
    elif path.parent != RECIPES:  # in papers/DATASET too
        assert settings.encoder.system == path.stem


def test_every_system_has_a_small_recipe_with_the_same_budget() -> None:
    small = {path.stem: settings_of(path) for path in (RECIPES / "small").glob("*.toml")}
    assert small.keys() == SYSTEMS.keys()
    budgets = {(s.epochs, s.batch, s.encoder.backbone, s.encoder.stem, s.image.height, s.image.width)
               for s in small.values()}  # fmt: skip
    assert len(budgets) == 1


def test_every_paper_with_a_loss_of_its_own_has_a_recipe() -> None:
    """AttnFashion's sizes are not published, and the other two are nobody's paper."""
    papers = {path.stem for path in (RECIPES / "papers").glob("*.toml")}
    assert papers == SYSTEMS.keys() - {"attnfashion", "classifier", "posterior"}


@pytest.mark.parametrize("path", sorted((RECIPES / "papers").rglob("*.toml")), ids=lambda path: path.stem)
def test_papers_leave_nothing_to_our_defaults(path: Path) -> None:
    """What they do not do is switched off by name, since our defaults may change."""
    given = tomllib.loads(path.read_text("utf-8"))
    assert given["augmentation"].keys() == AugmentationSection.model_fields.keys()
    assert {name for name, value in given["augmentation"].items() if value} <= {"flip"}
    assert given["augmentation"]["flip"] == (0 if path.stem == "asen_pp" else 0.5)
    assert given["optimizer"].keys() == OptimizerSection.model_fields.keys()
    assert given["optimizer"]["clip"] >= 1e9 and given["encoder"]["weights"] == "imagenet"


def test_on_deepfashion_positives_weigh_more() -> None:
    plain, weighted = (settings_of(RECIPES / "papers" / name) for name in ("m3net.toml", "deepfashion/m3net.toml"))
    assert (plain.objective.positive_weight, weighted.objective.positive_weight) == (1, 100)
    changed = {name for name, value in plain.identity().items() if value != weighted.identity()[name]}
    assert changed == {"objective"}
