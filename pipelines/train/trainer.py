"""The training loop of one worker. Knows torch.distributed, and nothing of Ray."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter

from model.objective import label_ratio
from model.systems import build_encoder, build_objective
from model.taxonomy import Taxonomy
from pipelines.data.item_store import ItemStore
from pipelines.errors import EncoderError

from .average import WeightAverage
from .batches import Batches
from .distributed import World, synchronize_norms
from .sampler import GroupSampler
from .settings import TrainSettings
from .state import Progress, load_state, save_state
from .step import TrainingStep, learning_rate, optimizer_of, stage_of, to_device
from .validation import validate

_LINE_EVERY = 2.0  # seconds between two progress lines in metrics.jsonl

Entry = dict[str, Any]


class Trainer:
    """Trains an encoder on one worker's share of every global batch.

    Args:
        settings: of the run.
        taxonomy: its attributes and classes.
        training: the train split.
        validation: the val split; empty or None = the last epoch is the best.
        world: this worker's place.
        report: called by every worker after every epoch.
    """

    def __init__(
        self,
        settings: TrainSettings,
        taxonomy: Taxonomy,
        training: ItemStore,
        validation: ItemStore | None,
        world: World,
        report: Callable[[Trainer, Entry], None],
    ) -> None:
        self.settings, self.world, self.report = settings, world, report
        self.training, self.validation = training, validation
        self.preparation = settings.image.preparation()
        torch.manual_seed(settings.seed)
        self.encoder = build_encoder(settings.encoder.config(), taxonomy).to(memory_format=torch.channels_last)
        ratio = None
        if settings.objective.positive_weight == 0:
            of_class = torch.tensor(taxonomy.attribute_of_class)
            ratio = label_ratio(torch.from_numpy(training.carried), torch.from_numpy(training.known), of_class)
        objective = build_objective(settings.objective.config(), self.encoder, ratio)
        step = TrainingStep(self.encoder, objective, settings.augmentation.config(), self.preparation.fill)
        synchronized = synchronize_norms(step.to(world.device), world)
        assert isinstance(synchronized, TrainingStep)
        self.step = synchronized
        self.optimizer = optimizer_of(self.step, settings.optimizer)
        self.average = WeightAverage(self.encoder, settings.optimizer.average)
        self.progress = Progress()
        sampler = GroupSampler(
            training.carried,
            training.known,
            taxonomy,
            batch=settings.batch,
            group=settings.group,
            balance=settings.balance,
            seed=settings.seed,
        )
        self.batches = Batches(training, self.preparation, sampler, world)
        self.half = precision(settings.precision, world.device)

    def restore(self, folder: Path) -> None:
        """Continue from a saved state."""
        self.progress = load_state(folder, self.step, self.optimizer, self.average.tensors, self.identity())

    def run(self) -> Progress:
        """Train the epochs that are left."""
        settings = self.settings
        module: torch.nn.Module = self.step
        if self.world.size > 1:
            # Norms see the global batch and prototypes its sums, so there are no buffers to broadcast.
            # An early stage may leave out what a later one trains.
            staged = self.encoder.stages > 1
            module = DistributedDataParallel(self.step, broadcast_buffers=False, find_unused_parameters=staged)
        out = settings.out
        writer = SummaryWriter(str(out / "tensorboard")) if self.world.rank == 0 else None
        for epoch in range(self.progress.epoch, settings.epochs):
            if epoch == stage_of(epoch, settings.epochs, self.encoder.stages).first:
                # What an earlier stage was worth says nothing of this one, and is not to be kept in its place.
                self.progress.best, self.progress.best_epoch = -1.0, -1
            entry = self._epoch(module, epoch, writer)
            if (epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.epochs:
                entry |= self._validate()
            score = entry.get("map", float(epoch))  # without a val split the latest is the best
            entry["best"] = score > self.progress.best and ("map" in entry or self.validation is None)
            if entry["best"]:
                self.progress.best, self.progress.best_epoch = score, epoch
            self.progress.epoch = epoch + 1
            self.progress.history.append(entry)
            if writer:
                for name, value in entry.items():
                    if isinstance(value, int | float):
                        writer.add_scalar(name, value, epoch + 1)
                writer.flush()
            self.report(self, entry)
        if writer:
            writer.close()
        return self.progress

    def save(self, folder: Path) -> None:
        """Write the state into a folder."""
        save_state(folder, self.step, self.optimizer, self.average.tensors, self.progress, self.identity())

    def identity(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one: the settings, the classes and the items."""
        taxonomy = self.encoder.taxonomy.digest
        validation = self.validation.digest if self.validation else None  # the best epoch is the best on these
        items = {"training items": self.training.digest, "validation items": validation}
        return {**self.settings.identity(), "taxonomy": taxonomy, **items}

    def _epoch(self, module: torch.nn.Module, epoch: int, writer: SummaryWriter | None) -> dict[str, Any]:
        settings, steps = self.settings, self.batches.sampler.steps
        stage = stage_of(epoch, settings.epochs, self.encoder.stages)
        self.encoder.stage = stage.number
        self.step.train()
        start = line = time.monotonic()
        names = (*self.step.objective.names, "loss")
        totals = torch.zeros(len(names), device=self.world.device)
        for number, batch in enumerate(self.batches.epoch(epoch)):
            total_steps = epoch * steps + number
            rate = learning_rate(settings.optimizer, total_steps - stage.first * steps, steps, stage.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["rates"][stage.number]
            # Only dropout draws from torch's own generators: seeded per step, a resume need not restore them.
            torch.manual_seed(
                int(np.random.SeedSequence((settings.seed, total_steps, self.world.rank)).generate_state(1)[0])
            )
            with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.half):
                loss, losses = module(to_device(batch, self.world.device))
            self.optimizer.zero_grad(set_to_none=True)
            (loss * self.world.size).backward()  # DDP averages; the loss is a sum over workers
            torch.nn.utils.clip_grad_norm_(self.step.parameters(), settings.optimizer.clip)
            self.optimizer.step()
            sums, counts = self.world.sum(losses.prototype_sums), self.world.sum(losses.prototype_counts)
            self.step.objective.prototypes.update(sums, counts)
            self.encoder.set_centres(self.step.objective.prototypes())
            self.average.update(total_steps)
            totals += torch.stack([term.detach() for term in (*losses.terms.values(), loss)])
            if self.world.rank == 0 and time.monotonic() - line > _LINE_EVERY:
                line = time.monotonic()
                self._line(
                    {"epoch": epoch, "step": number + 1, "steps": steps, "loss": float(totals[-1]) / (number + 1)}
                )
        means = (self.world.sum(totals) / steps).tolist()
        if not all(map(_finite, means)):
            raise EncoderError(
                f"the loss of epoch {epoch + 1} is not finite: lower optimizer.learning-rate, and give another --out"
            )
        seconds = time.monotonic() - start
        keys = (*(f"loss_{name}" for name in names[:-1]), "loss")
        entry: dict[str, Any] = {"epoch": epoch + 1, **dict(zip(keys, means, strict=True))}
        entry |= {"learning_rate": rate, "seconds": seconds, "images_per_second": steps * settings.batch / seconds}
        entry["workers"] = self.world.size
        return entry

    def _validate(self) -> dict[str, Any]:
        """MAP@all of the averaged weights on the val split (worker 0 computes, all learn it)."""
        if self.validation is None:
            return {}
        figures: dict[str, Any] = {}
        if self.world.rank == 0:
            self.average.swap()
            figures = validate(self.encoder, self.preparation, self.validation, self.settings, self.world, self.half)
            self.average.swap()
        return self.world.gather(figures)[0]

    def _line(self, entry: dict[str, Any]) -> None:
        with (self.settings.out / "progress.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


def precision(setting: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: where asked for, or where the device has instructions for it."""
    if setting != "auto":
        return setting == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
