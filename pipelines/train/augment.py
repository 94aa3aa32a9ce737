"""Augmentation: random flips, small moves, shade changes and erased patches, the same whatever the sharding.

Hue is left alone: colour is an attribute that people search by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from model.errors import EncoderError


@dataclass(frozen=True)
class AugmentationConfig:
    """Strengths; 0 switches a kind off.

    Args:
        flip: probability of a horizontal flip.
        scale: the picture is scaled by a factor in [1 − scale, 1 + scale].
        shift: largest move, as a share of the picture's side.
        rotate: largest angle, degrees.
        shade: brightness and contrast change by a factor in [1 − shade, 1 + shade].
        erase: probability that a patch of 5 to 20 % of the area is greyed out.
    """

    flip: float = 0.5
    scale: float = 0.15
    shift: float = 0.08
    rotate: float = 6.0
    shade: float = 0.15
    erase: float = 0.25

    def __post_init__(self) -> None:
        for name in ("flip", "scale", "shift", "shade", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise EncoderError(f"augmentation.{name} = {getattr(self, name)} is not in 0..1")
        if not 0 <= self.rotate <= 180:
            raise EncoderError(f"augmentation.rotate = {self.rotate} is not in 0..180 degrees")


def draw_augmentation(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Random numbers for ``count`` pictures, count×11 in [0, 1); drawn per group."""
    return rng.random((count, 11))


@torch.no_grad()
def augment(images: Tensor, draws: Tensor, config: AugmentationConfig, fill: int = 255) -> Tensor:
    """uint8 B×3×H×W and draws B×11 -> float B×3×H×W in 0..255. What moves in from outside has level ``fill``.

    Always in float32: autocast would round the places at which the picture is read, by most of a pixel at 224.
    """
    with torch.autocast(images.device.type, enabled=False):
        return _augment(images, draws, config, fill)


def _augment(images: Tensor, draws: Tensor, config: AugmentationConfig, fill: int) -> Tensor:
    draws = draws.to(images.device, torch.float32)
    signed = 2 * draws - 1
    x = images.to(torch.float32)
    height, width = x.shape[2:]
    factor = 1 / (1 + config.scale * signed[:, 1])
    angle = signed[:, 4] * config.rotate * torch.pi / 180
    mirror = torch.where(draws[:, 0] < config.flip, -1.0, 1.0)
    cos, sin = factor * torch.cos(angle), factor * torch.sin(angle)
    rows = [
        torch.stack([mirror * cos, -mirror * sin * height / width, 2 * config.shift * signed[:, 2]], 1),
        torch.stack([sin * width / height, cos, 2 * config.shift * signed[:, 3]], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    x = F.grid_sample(x - fill, grid, align_corners=False) + fill
    mean = x.mean((1, 2, 3), keepdim=True)
    contrast = (1 + config.shade * signed[:, 5]).view(-1, 1, 1, 1)
    brightness = (1 + config.shade * signed[:, 6]).view(-1, 1, 1, 1)
    x = ((x - mean) * contrast + mean) * brightness
    return _erase(x.clamp(0, 255), draws[:, 7:], config.erase)


def _erase(x: Tensor, draws: Tensor, probability: float) -> Tensor:
    height, width = x.shape[2:]
    side = (0.05 + 0.15 * draws[:, 1]).sqrt()
    top, left = draws[:, 2] * (1 - side) * height, draws[:, 3] * (1 - side) * width
    y, z = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    inside_y = (y >= top[:, None]) & (y < (top + side * height)[:, None])
    inside_z = (z >= left[:, None]) & (z < (left + side * width)[:, None])
    patch = inside_y[:, :, None] & inside_z[:, None, :] & (draws[:, 0] < probability)[:, None, None]
    return torch.where(patch[:, None], 128.0, x)
