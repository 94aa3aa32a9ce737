"""Moving average of the weights: what is validated, kept and served."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a module's parameters and buffers; the early steps count less.

    Args:
        module: whose weights are followed.
        decay: share of the old average that stays, in [0, 1); 0 follows exactly.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.tensors: dict[str, Tensor] = {n: t.detach().clone() for n, t in module.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After the ``step``-th optimisation step (from 0)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step)) if self.decay else 1.0
        state = self.module.state_dict()
        floats = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.tensors[name] for name in floats], [state[name] for name in floats], share)
        for name in self.tensors.keys() - floats:
            self.tensors[name].copy_(state[name])

    def swap(self) -> None:
        """Exchange the module's weights with the average; twice leaves all as it was."""
        for name, tensor in self.module.state_dict().items():
            kept = tensor.detach().clone()
            tensor.copy_(self.tensors[name])
            self.tensors[name].copy_(kept)
