"""float64 in place of float32 in this process: rounding shrinks to 1e-16, so what is left of a difference is real."""

from __future__ import annotations

from typing import Any

import torch

import model.systems.m3net
import pipelines.train.step


def compute_in_float64() -> None:
    """For a process of its own: it cannot be undone. Pictures are augmented in float32 all the same."""
    normalize, augment = model.systems.m3net.normalize, pipelines.train.step.augment

    def augment_in_float32(*arguments: Any) -> torch.Tensor:
        torch.set_default_dtype(torch.float32)
        try:
            return augment(*arguments)
        finally:
            torch.set_default_dtype(torch.float64)

    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    model.systems.m3net.normalize = lambda images: normalize(images).double()
    pipelines.train.step.augment = augment_in_float32
