"""The loop without Ray: learning, resuming, sharding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.checkpoint import load_checkpoint
from model.errors import CheckpointError
from pipelines.train.distributed import World
from pipelines.train.finish import finish, summarize
from pipelines.train.trainer import Trainer

from .runs import settings_of, trainer_of
from .shapes import write_shapes
from .sharding import check_sharding


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes.parquet", 80)


def weights(trainer: Trainer) -> torch.Tensor:
    state = {**trainer.step.state_dict(), **{f"average/{k}": v for k, v in trainer.average.tensors.items()}}
    return torch.cat([state[name].double().flatten() for name in sorted(state)])


def test_resumed_run_ends_with_the_weights_of_an_unbroken_one(manifest: Path, tmp_path: Path) -> None:
    settings = settings_of(manifest, tmp_path / "unbroken", epochs=3, encoder={"dropout": 0.1})
    unbroken = trainer_of(settings, World(), tmp_path / "states")
    unbroken.run()
    resumed = trainer_of(settings.model_copy(update={"out": tmp_path / "states"}), World())
    resumed.restore(tmp_path / "states" / "1")
    assert not torch.equal(weights(resumed), weights(unbroken))
    progress = resumed.run()
    assert torch.equal(weights(resumed), weights(unbroken))
    assert [entry["epoch"] for entry in progress.history] == [1, 2, 3]
    assert [entry["map"] for entry in progress.history] == [entry["map"] for entry in unbroken.progress.history]


def test_other_settings_are_refused(manifest: Path, tmp_path: Path) -> None:
    settings = settings_of(manifest, tmp_path / "a", epochs=1)
    trainer_of(settings, World(), tmp_path / "states").run()
    changed = trainer_of(settings_of(manifest, tmp_path / "b", epochs=1, batch=16), World())
    with pytest.raises(CheckpointError, match="batch"):
        changed.restore(tmp_path / "states" / "1")


def test_other_training_items_are_refused(manifest: Path, tmp_path: Path) -> None:
    trainer_of(settings_of(manifest, tmp_path / "a", epochs=1), World()).save(tmp_path / "state")
    grown = write_shapes(tmp_path / "grown.parquet", 88)
    with pytest.raises(CheckpointError, match="training items"):
        trainer_of(settings_of(grown, tmp_path / "b", epochs=1), World()).restore(tmp_path / "state")


def test_other_validation_items_are_refused(manifest: Path, tmp_path: Path) -> None:
    """What is best among epochs is best on the items that it was measured on."""
    trainer_of(settings_of(manifest, tmp_path / "a", epochs=1), World()).save(tmp_path / "state")
    other = trainer_of(settings_of(manifest, tmp_path / "b", epochs=1), World())
    assert other.validation
    other.validation = None
    with pytest.raises(CheckpointError, match="validation items"):
        other.restore(tmp_path / "state")


@pytest.mark.slow
def test_same_global_batch_on_more_workers_gives_the_same_weights(manifest: Path, tmp_path: Path) -> None:
    check_sharding({"m3net": settings_of(manifest, tmp_path, epochs=1)}, tmp_path, sizes=(1, 2, 3))


@pytest.mark.slow
def test_learns_the_shapes_and_finishes(manifest: Path, tmp_path: Path) -> None:
    settings = settings_of(manifest, tmp_path, epochs=12)
    trainer = trainer_of(settings, World())
    progress = trainer.run()
    assert progress.history[-1]["map/colour"] > 0.9
    folder = finish(settings, trainer.training, World(), {"validation_map": progress.best})
    loaded = load_checkpoint(folder)
    assert loaded.prototypes is not None and loaded.head is not None
    assert loaded.prototypes.counts.sum() == trainer.training.carried.sum()
    assert loaded.metrics["validation_map"] == progress.best
    assert sorted(path.name for path in tmp_path.glob("*/checkpoint.json")) == ["checkpoint.json"] * 3


class _Second(World):
    """Of two workers, the second, while the first is away."""

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def collect(self, value: object) -> list[object]:
        return [value]


@pytest.mark.parametrize(("world", "kept"), [(World(), [0, 2, 4]), (_Second(1, 2), [])])
def test_a_sample_may_have_no_item_of_a_worker(manifest: Path, tmp_path: Path, world: World, kept: list[int]) -> None:
    trainer = trainer_of(settings_of(manifest, tmp_path, epochs=1), World())
    store, encoder = trainer.training, trainer.encoder
    limit = -(-len(store) // 2)  # every second one, all of which are the first worker's
    _, positions, vectors = summarize(encoder, trainer.preparation, store, world, limit)
    assert positions[:3].tolist() == kept
    assert vectors.shape == (len(positions), len(encoder.taxonomy.attributes), encoder.width)
