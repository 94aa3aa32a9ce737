"""Ray Train around the trainer: manifest -> run folder.

A run folder holds ``settings.json``, ``taxonomy.json``, ``metrics.jsonl``, ``tensorboard/``, ``curves.png``,
``best/`` and ``last/`` (encoders), ``checkpoint/`` (the result: best encoder, prototypes, manipulation head) and
``ray/`` (what a resume needs).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from cluster.runtime import cpu_share
from model.checkpoint import save_checkpoint
from model.taxonomy import Taxonomy
from pipelines.data.item_store import ItemStore, default_cache
from pipelines.data.manifest import Manifest
from pipelines.data.taxonomy import build_taxonomy, load_taxonomy, save_taxonomy
from pipelines.errors import CheckpointError, DuetError, ManifestError

from .curves import draw_curves
from .distributed import World
from .finish import finish
from .settings import TrainSettings
from .trainer import Trainer


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        checkpoint: folder of the result.
        history: one entry per epoch.
        best: validation MAP@all of the kept weights, or None without a val split.
        best_epoch: from 1.
    """

    checkpoint: Path
    history: list[dict[str, Any]]
    best: float | None
    best_epoch: int


def train(settings: TrainSettings) -> Trained:
    """Train, or continue a run that was interrupted. Needs a running Ray.

    Raises:
        ManifestError: nothing to train on.
        CheckpointError: the folder holds a run with other settings.
    """
    # Ray's workers run in other folders.
    settings = settings.model_copy(
        update={
            "out": settings.out.absolute(),
            "cache": (settings.cache or default_cache()).absolute(),
            "encoder": settings.encoder.absolute(),
        }
    )
    _check_same_run(settings)
    settings.out.mkdir(parents=True, exist_ok=True)
    manifest, taxonomy = open_manifest(settings)
    save_taxonomy(settings.out / "taxonomy.json", taxonomy)
    settings.save(settings.out / "settings.json")
    gpu = settings.gpu == "yes" or (
        settings.gpu == "auto" and ray.cluster_resources().get("GPU", 0) >= settings.workers
    )
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "settings": settings.model_dump(mode="json"),
            "manifest": manifest,
            "taxonomy": taxonomy.to_json(),
        },
        scaling_config=ScalingConfig(
            num_workers=settings.workers,
            use_gpu=gpu,
            resources_per_worker={"CPU": cpu_share(settings.workers), **({"GPU": 1} if gpu else {})},
        ),
        run_config=RunConfig(
            name="ray",
            storage_path=str(settings.out),
            failure_config=FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )
    try:
        trainer.fit()
    except ray.train.WorkerGroupError as error:
        for cause in error.worker_failures.values():
            if isinstance(cause, DuetError):  # the user's to mend, and no matter of workers
                raise cause from error
        raise
    history = _read_history(settings.out)
    scores = [entry["map"] for entry in history if "map" in entry]
    best = [entry["epoch"] for entry in history if entry["best"]]
    draw_curves(history, settings.out / "curves.png")
    return Trained(settings.out / "checkpoint", history, max(scores, default=None), best[-1])


def train_worker(config: dict[str, Any]) -> None:
    """One Ray Train worker: open the node's stores, train what is left, finish."""
    settings = TrainSettings.model_validate(config["settings"])
    taxonomy = Taxonomy.from_json(config["taxonomy"])
    context = ray.train.get_context()
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        shared = max(1, (os.cpu_count() or 1) // context.get_local_world_size())
        torch.set_num_threads(settings.threads or shared)
    world = World(context.get_world_rank(), context.get_world_size(), device)
    training, validation = open_stores(settings, config["manifest"], taxonomy)
    trainer = Trainer(settings, taxonomy, training, validation, world, _reporter(settings, world))
    start = ray.train.get_checkpoint()
    if start is not None:
        with start.as_directory() as folder:
            trainer.restore(Path(folder))
    progress = trainer.run()
    metrics = {"validation_map": progress.best if validation else None, "epoch": progress.best_epoch + 1}
    finish(settings, training, world, metrics)


def open_manifest(settings: TrainSettings) -> tuple[Manifest, Taxonomy]:
    """The manifest with its labels, and the taxonomy: given, as the run that is continued has it, or built."""
    kept = settings.out / "taxonomy.json"
    given = settings.taxonomy or (kept if kept.exists() else None)
    if given is None or settings.attributes:
        manifest = Manifest.open(settings.manifest, roots=settings.roots, attributes=settings.attributes)
        return manifest, load_taxonomy(given) if given else build_taxonomy(manifest, ignore=settings.ignore)
    taxonomy = load_taxonomy(given)
    return Manifest.labelled(settings.manifest, taxonomy, roots=settings.roots), taxonomy


def open_stores(settings: TrainSettings, manifest: Manifest, taxonomy: Taxonomy) -> tuple[ItemStore, ItemStore | None]:
    """The train split (all rows of a manifest without a split column), and the val split if there is one.

    Raises:
        ManifestError: the train split is empty.
    """
    cache = settings.cache or default_cache()
    split = "train" if manifest.has_split else None
    training = ItemStore.open(manifest, taxonomy, split=split, cache=cache)
    if not training.known.any():
        raise ManifestError(
            f"{', '.join(manifest.files)}: no readable, labelled row to train on"
            + (" (column split has no 'train')" if manifest.has_split and not len(training) else "")
        )
    validation = ItemStore.open(manifest, taxonomy, split="val", cache=cache) if manifest.has_split else None
    return training, validation if validation is not None and validation.known.any() else None


def _reporter(settings: TrainSettings, world: World) -> Callable[[Trainer, dict[str, Any]], None]:
    def report(trainer: Trainer, entry: dict[str, Any]) -> None:
        if world.rank:
            ray.train.report(entry)
            return
        write_epoch(trainer, entry)
        with tempfile.TemporaryDirectory() as folder:
            trainer.save(Path(folder))
            ray.train.report(entry, checkpoint=ray.train.Checkpoint.from_directory(folder))

    return report


def write_epoch(trainer: Trainer, entry: dict[str, Any]) -> None:
    """Worker 0, after an epoch: encoders, metrics. Written before the state, so that a resume finds all of it."""
    out = trainer.settings.out
    trainer.average.swap()
    metrics = {name: value for name, value in entry.items() if name.startswith("map")} | {"epoch": entry["epoch"]}
    for name in ("best", "last") if entry["best"] else ("last",):
        save_checkpoint(out / name, trainer.encoder, trainer.preparation, metrics=metrics)
    trainer.average.swap()
    lines = "".join(json.dumps(line) + "\n" for line in trainer.progress.history)
    temporary = out / ".metrics.jsonl"
    temporary.write_text(lines, encoding="utf-8")
    temporary.replace(out / "metrics.jsonl")


def _read_history(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def _check_same_run(settings: TrainSettings) -> None:
    path = settings.out / "settings.json"
    if not path.exists():
        return
    before = TrainSettings.model_validate(json.loads(path.read_text(encoding="utf-8"))).identity()
    now = settings.identity()
    changed = sorted(name for name in now if before.get(name) != now[name])
    if changed:
        raise CheckpointError(
            f"{settings.out} holds a run with other settings ({', '.join(changed)}): "
            "give another --out, or the same settings to continue it"
        )
