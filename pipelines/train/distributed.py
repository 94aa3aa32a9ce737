"""Workers of one training run: who am I, sums over all, and batch norm over the global batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """This worker's place.

    Attributes:
        rank: 0..size−1.
        size: number of workers; 1 needs no process group.
        device: where it computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over workers, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, value: Any) -> list[Any]:
        """Every worker's value, in the order of ranks, on every worker."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def collect(self, value: Any) -> list[Any]:
        """Every worker's value, in the order of ranks, on worker 0; elsewhere this worker's alone."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(value, values)
        return [value] if values is None else values


class _SumOverWorkers(torch.autograd.Function):
    """y = Σ_r x_r, the same on all workers; the loss being Σ_r L_r, dL/dx_r = Σ_r' dL_r'/dy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clone()
        dist.all_reduce(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d with the statistics of the global batch, on any device (torch's own needs a GPU).

    Computed in float32 with two sums over workers, so that it agrees with one worker to rounding.
    """

    def forward(self, input: Tensor) -> Tensor:
        """B×C×h×w -> the same shape and precision."""
        if not self.training:
            return super().forward(input)
        assert self.momentum is not None and self.running_mean is not None and self.running_var is not None
        x = input.float()
        size = x.new_tensor([x.numel() / x.shape[1]])
        first = _SumOverWorkers.apply(torch.cat([x.sum((0, 2, 3)), size]))
        count = first[-1].detach()
        centred = x - (first[:-1] / count)[None, :, None, None]
        variance = _SumOverWorkers.apply((centred * centred).sum((0, 2, 3))) / count
        with torch.no_grad():
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(first[:-1] / count, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[None, :, None, None] + self.bias[None, :, None, None]).to(input.dtype)


def synchronize_norms(module: nn.Module, world: World) -> nn.Module:
    """Make every BatchNorm2d see the global batch; parameters and buffers stay the same tensors."""
    if world.size == 1:
        return module
    if world.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = GlobalBatchNorm2d
    return module
