"""The loop without Ray: learning, resuming, sharding."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from model.checkpoint import load_checkpoint
from model.errors import CheckpointError
from pipelines.train.distributed import World
from pipelines.train.finish import finish
from pipelines.train.launch import open_manifest, open_stores
from pipelines.train.run_folder import write_epoch
from pipelines.train.settings import TrainSettings
from pipelines.train.trainer import Trainer

from .double import compute_in_float64
from .shapes import write_shapes


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes.parquet", 80)


def settings_of(manifest: Path, out: Path, **changes: Any) -> TrainSettings:
    out.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "manifest": [str(manifest)],
        "out": out,
        "cache": manifest.parent / "cache",
        "image": {"height": 32, "width": 32},
        "epochs": 2,
        "batch": 24,
        "group": 8,
        "precision": "float32",
        "manipulation": {"width": 16, "steps": 20, "batch": 16},
    }
    return TrainSettings(**(values | changes))


def trainer_of(settings: TrainSettings, world: World, saved: Path | None = None) -> Trainer:
    manifest, taxonomy = open_manifest(settings)
    training, validation = open_stores(settings, manifest, taxonomy)

    def report(trainer: Trainer, entry: dict[str, Any]) -> None:
        if world.rank == 0:
            write_epoch(trainer, entry)
            if saved is not None:
                trainer.save(saved / str(entry["epoch"]))

    return Trainer(settings, taxonomy, training, validation, world, report)


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


def _train(rank: int, size: int, settings: TrainSettings, port: int, result: Path) -> None:
    """One worker, in a process of its own; the first saves what it ends with."""
    compute_in_float64()
    torch.set_num_threads(1)
    if size > 1:
        torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    trainer = trainer_of(settings, World(rank, size))
    before = [parameter.clone() for parameter in trainer.step.parameters()]
    trainer.run()
    if rank == 0:
        moved = [after - start for after, start in zip(trainer.step.parameters(), before, strict=True)]
        gradients = [state["exp_avg"] for state in trainer.optimizer.state.values()]  # Adam's average of them
        torch.save(
            {
                "moved": torch.cat([part.detach().flatten() for part in moved]),
                "gradients": torch.cat([part.flatten() for part in gradients]),
                "buffers": dict(trainer.step.named_buffers()),
            },
            result,
        )
    if size > 1:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_same_global_batch_on_more_workers_gives_the_same_weights(manifest: Path, tmp_path: Path) -> None:
    # In float64: float32's rounding tips a ReLU or a hinge now and then, and that moves weights by more than rounding.
    ends, losses = [], []
    for size in (1, 2, 3):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = settings_of(manifest, tmp_path / str(size), workers=size, epochs=1)
        mp.spawn(_train, (size, settings, port, tmp_path / f"{size}.pt"), nprocs=size)
        ends.append(torch.load(tmp_path / f"{size}.pt", weights_only=True))
        losses.append(json.loads((settings.out / "metrics.jsonl").read_text()))
    alone, *sharded = ends
    assert alone["moved"].dtype == torch.float64 and alone["moved"].norm() > 0
    for end in sharded:
        for name in ("gradients", "moved"):
            assert (end[name] - alone[name]).norm() < 1e-9 * alone[name].norm()
        for name, buffer in alone["buffers"].items():  # the norms' statistics and the prototypes
            torch.testing.assert_close(end["buffers"][name], buffer, rtol=1e-9, atol=1e-12, msg=name)
    for loss in losses[1:]:
        for name in ("loss", "loss_classification", "loss_prototype", "loss_instance"):
            assert loss[name] == pytest.approx(losses[0][name], rel=1e-9)


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
