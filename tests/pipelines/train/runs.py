"""Small runs without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.train.distributed import World
from pipelines.train.launch import open_manifest, open_stores
from pipelines.train.run_folder import write_epoch
from pipelines.train.settings import TrainSettings
from pipelines.train.trainer import Trainer


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
