"""Ray Train around the trainer: manifest -> run folder.

A run folder holds ``settings.json``, ``taxonomy.json``, ``problems.txt`` (what was left out), ``metrics.jsonl``,
``tensorboard/``, ``curves.png``, ``best/`` and ``last/`` (encoders), ``checkpoint/`` (the result: best encoder,
prototypes, manipulation head) and ``ray/`` (what a resume needs).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import CheckpointConfig, FailureConfig, RunConfig
from ray.train.torch import TorchTrainer

from cluster.cores import cores
from model.taxonomy import Taxonomy
from pipelines.data.item_store import ItemStore, default_cache
from pipelines.data.manifest import Manifest
from pipelines.data.taxonomy import build_taxonomy, load_taxonomy, save_taxonomy
from pipelines.data.writing import make_folder
from pipelines.errors import DuetError, ManifestError

from .curves import draw_curves
from .distributed import World
from .finish import finish
from .run_folder import check_same_run, check_same_taxonomy, kept_epoch, read_history, write_epoch, write_problems
from .scaling import scaling
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
        ClusterError: the cluster has too few GPUs or CPUs for what is asked.
    """
    check_same_run(settings)
    # Ray's workers run in other folders.
    settings = settings.model_copy(
        update={
            "out": settings.out.absolute(),
            "cache": (settings.cache or default_cache()).absolute(),
            "encoder": settings.encoder.absolute(),
        }
    )
    make_folder(settings.out)
    manifest, taxonomy = open_manifest(settings)
    check_same_taxonomy(settings, taxonomy)
    save_taxonomy(settings.out / "taxonomy.json", taxonomy)
    settings.save(settings.out / "settings.json")
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "settings": settings.model_dump(mode="json"),
            "manifest": manifest,
            "taxonomy": taxonomy.to_json(),
        },
        scaling_config=scaling(settings),
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
    history = read_history(settings.out)
    kept = kept_epoch(history)
    draw_curves(history, settings.out / "curves.png")
    return Trained(settings.out / "checkpoint", history, kept.get("map"), kept["epoch"])


def train_worker(config: dict[str, Any]) -> None:
    """One Ray Train worker: open the node's stores, train what is left, finish."""
    settings = TrainSettings.model_validate(config["settings"])
    taxonomy = Taxonomy.from_json(config["taxonomy"])
    context = ray.train.get_context()
    device = ray.train.torch.get_device()
    if device.type == "cpu":
        shared = max(1, cores() // context.get_local_world_size())
        torch.set_num_threads(settings.threads or shared)
    world = World(context.get_world_rank(), context.get_world_size(), device)
    training, validation = open_stores(settings, config["manifest"], taxonomy)
    if world.rank == 0:
        write_problems(settings.out, training, validation)
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
    continued = (settings.out / "metrics.jsonl").exists()  # before its first epoch a run has nothing to keep
    given = settings.taxonomy or (kept if continued else None)
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
