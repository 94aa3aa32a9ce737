"""float64 in place of float32 in this process: rounding shrinks to 1e-16, so what is left of a difference is real."""

from __future__ import annotations

import sys
from typing import Any

import torch

import model.preparation
import pipelines.train.step


def compute_in_float64() -> None:
    """For a process of its own: it cannot be undone. Pictures are augmented in float32 all the same."""
    normalize, augment = model.preparation.normalize, pipelines.train.step.augment

    def augment_in_float32(*arguments: Any) -> torch.Tensor:
        torch.set_default_dtype(torch.float32)
        try:
            return augment(*arguments)
        finally:
            torch.set_default_dtype(torch.float64)

    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
    for module in [module for module in sys.modules.values() if getattr(module, "normalize", None) is normalize]:
        module.normalize = lambda images: normalize(images).double()  # type: ignore[attr-defined]
    pipelines.train.step.augment = augment_in_float32
