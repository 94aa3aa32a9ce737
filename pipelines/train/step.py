"""One training step: augment, encode once, every loss. A module, so that DDP can wrap it as a whole."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.encoder import Encoder
from model.objective import Losses, Objective

from .augment import AugmentationConfig, augment
from .batches import Batch
from .settings import OptimizerSection


class TrainingStep(nn.Module):
    """Encoder and objective as one module: a batch -> its losses."""

    def __init__(self, encoder: Encoder, objective: Objective, augmentation: AugmentationConfig, fill: int) -> None:
        super().__init__()
        self.encoder, self.objective = encoder, objective
        self.augmentation, self.fill = augmentation, fill

    def forward(self, batch: Batch) -> tuple[Tensor, Losses]:
        """This worker's part of a batch, on the encoder's device -> (loss, its terms)."""
        images = augment(batch.images, batch.draws, self.augmentation, self.fill)
        output = self.encoder.attributes(images.contiguous(memory_format=torch.channels_last))
        losses = self.objective(self.encoder, output, batch.carried, batch.known, batch.roles, batch.counts)
        return losses.total, losses


def optimizer_of(step: TrainingStep, section: OptimizerSection) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices and kernels only. A group's ``rates`` are `Encoder.rates`."""
    groups: dict[tuple[bool, tuple[float, ...]], list[nn.Parameter]] = {}
    for name, parameter in step.named_parameters():
        if parameter.requires_grad:
            rates = step.encoder.rates(name.removeprefix("encoder."))
            groups.setdefault((parameter.dim() > 1, rates), []).append(parameter)
    ordered = sorted(groups.items(), key=lambda entry: (not entry[0][0], entry[0][1]))
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": section.weight_decay if decayed else 0.0, "rates": rates}
            for (decayed, rates), parameters in ordered
        ],
        lr=section.learning_rate,
        fused=True,
    )


class Stage(NamedTuple):
    """A part of a run.

    Attributes:
        number: from 0.
        first: its first epoch, from 0.
        epochs: how many it has.
    """

    number: int
    first: int
    epochs: int


def stage_of(epoch: int, epochs: int, stages: int) -> Stage:
    """The stage of an epoch (from 0) of ``epochs`` ≥ ``stages``; stages have one length, or differ by one epoch."""
    number = epoch * stages // epochs
    first, end = (-(-epochs * n // stages) for n in (number, number + 1))
    return Stage(number, first, end - first)


def learning_rate(section: OptimizerSection, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The rate of the ``step``-th step (from 0) of a stage of ``epochs``.

    A linear warm-up, then a cosine to zero, or a factor per epoch.
    """
    total = steps_per_epoch * epochs
    warm = max(1, round(section.warmup * total))
    rise = min(1.0, (step + 1) / warm)
    if section.schedule == "cosine":
        fall = 0.5 * (1 + math.cos(math.pi * step / total))
    else:
        fall = section.decay ** (step // steps_per_epoch)
    return section.learning_rate * rise * fall


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch on a device."""
    if device.type == "cpu":
        return batch

    def move(tensor: Tensor) -> Tensor:
        return tensor.pin_memory().to(device, non_blocking=True)

    roles = type(batch.roles)(**{name: move(value) for name, value in vars(batch.roles).items()})
    return Batch(move(batch.images), move(batch.draws), move(batch.carried), move(batch.known), roles, batch.counts)
