"""Systems that are trained in stages: lengths, rates, and which validation is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

import pipelines.train.trainer
from model.checkpoint import load_checkpoint
from model.systems import SYSTEMS
from pipelines.train.distributed import World
from pipelines.train.run_folder import kept_epoch, read_history
from pipelines.train.settings import TrainSettings
from pipelines.train.step import stage_of
from tests.model.networks import encoder

from .runs import settings_of, trainer_of
from .shapes import write_shapes


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes.parquet", 80)


def test_stages_share_the_epochs() -> None:
    for stages in (1, 2, 3):
        for epochs in range(stages, 20):
            numbers = [epoch * stages // epochs for epoch in range(epochs)]
            assert set(numbers) == set(range(stages))
            for epoch, number in enumerate(numbers):
                assert stage_of(epoch, epochs, stages) == (number, numbers.index(number), numbers.count(number))


def test_a_stage_without_an_epoch_is_refused(tmp_path: Path) -> None:
    assert {name for name, system in SYSTEMS.items() if system.stages > 1} == {"asen_pp", "fashionsearchnet"}
    for name, system in SYSTEMS.items():
        assert system.stages == encoder(name).stages
        TrainSettings(manifest=["x.parquet"], out=tmp_path, encoder={"system": name}, epochs=system.stages)
    with pytest.raises(ValidationError, match="asen_pp is trained in 2 stages"):
        TrainSettings(manifest=["x.parquet"], out=tmp_path, encoder={"system": "asen_pp"}, epochs=1)


def test_rates_begin_anew_with_a_stage(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step, each parameter has the rate of its stage's epoch, times its own factor of that stage."""
    optimizer = {"learning_rate": 1e-3, "schedule": "exponential", "decay": 0.5, "warmup": 0.0}
    settings = settings_of(manifest, tmp_path, epochs=4, encoder={"system": "asen_pp"}, optimizer=optimizer,
                           validate_every=4)  # fmt: skip
    trainer = trainer_of(settings, World())
    names = {id(parameter): name for name, parameter in trainer.encoder.named_parameters()}
    seen: list[dict[str, float]] = []
    step = trainer.optimizer.step

    def watched(*arguments: Any, **named: Any) -> Any:
        rates: dict[str, float] = {}
        for group in trainer.optimizer.param_groups:
            rates |= {names[id(parameter)]: group["lr"] for parameter in group["params"] if id(parameter) in names}
        seen.append(rates)
        return step(*arguments, **named)

    monkeypatch.setattr(trainer.optimizer, "step", watched)
    progress = trainer.run()
    steps = trainer.batches.sampler.steps
    assert len(seen) == 4 * steps and seen[0].keys() == set(names.values())
    for number, rates in enumerate(seen):
        epoch = number // steps
        for name, rate in rates.items():
            slow = epoch >= 2 and not name.startswith("local_")
            assert rate == pytest.approx(1e-3 * 0.5 ** (epoch % 2) * (0.1 if slow else 1.0)), (number, name)
    assert [entry["learning_rate"] for entry in progress.history] == pytest.approx([1e-3, 5e-4, 1e-3, 5e-4])


def test_an_earlier_stage_is_not_kept(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first stage validates better throughout, and its weights are nobody's; nor after a resume between the two."""
    scores = iter([0.9, 0.8, 0.3, 0.4, 0.3, 0.4])
    monkeypatch.setattr(pipelines.train.trainer, "validate", lambda *_: {"map": next(scores)})
    settings = settings_of(manifest, tmp_path / "run", epochs=4, encoder={"system": "asen_pp"})
    trainer_of(settings, World(), tmp_path / "states").run()
    resumed = trainer_of(settings.model_copy(update={"out": tmp_path / "states"}), World(), tmp_path / "again")
    resumed.restore(tmp_path / "states" / "2")
    assert resumed.progress.best == 0.9
    progress = resumed.run()
    assert [entry["best"] for entry in progress.history] == [True, False, True, True]
    assert (progress.best, progress.best_epoch) == (0.4, 3)
    for out in (tmp_path / "run", tmp_path / "states"):
        assert load_checkpoint(out / "best").metrics["epoch"] == 4
        assert [entry["best"] for entry in read_history(out)] == [True, False, True, True]
        assert kept_epoch(read_history(out))["map"] == 0.4


def test_the_first_stage_is_validated_without_what_it_does_not_train(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local: list[bool] = []

    def look(network: Any, preparation: Any, store: Any, *_: Any) -> dict[str, float]:
        network.eval()
        images = torch.from_numpy(store.prepared([0, 1], preparation)).permute(0, 3, 1, 2)
        local.append(bool(network.attributes(images).embeddings[..., network.channels :].any()))
        network.train()
        return {"map": 0.5}

    monkeypatch.setattr(pipelines.train.trainer, "validate", look)
    trainer_of(settings_of(manifest, tmp_path, epochs=2, encoder={"system": "asen_pp"}), World()).run()
    assert local == [False, True]
