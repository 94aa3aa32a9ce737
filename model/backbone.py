"""Backbones: torchvision's ResNets, cut where attention reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .errors import EncoderError

_MAKERS: dict[str, Callable[..., torchvision.models.ResNet]] = {
    "resnet18": torchvision.models.resnet18,
    "resnet34": torchvision.models.resnet34,
    "resnet50": torchvision.models.resnet50,
}
BACKBONES = tuple(_MAKERS)
# What torch and safetensors raise on a file of another kind, or of another network.
_UNREADABLE = (RuntimeError, KeyError, TypeError, AttributeError, OSError, EOFError, UnpicklingError, SafetensorError)


class Backbone(nn.Module):
    """A ResNet up to ``layer3`` (the papers' cut): images B×3×H×W -> map ψ B×C×h×w, stride 16.

    Args:
        name: resnet18, resnet34 (C = 256) or resnet50 (C = 1024).
        weights: ``none``, ``imagenet`` (torchvision's download of IMAGENET1K_V1, which the papers' code starts from;
            ResNet-50's V2 came later), or a file with torchvision's state dict (.safetensors, or .pth, which is read
            with ``weights_only``).
        stem: ``standard``, or ``fine``: without the max-pool, for small pictures: stride 8, four times the cost.
        deep: keep ``layer4`` for a caller, from the same weights; `forward` does not run it.

    Raises:
        EncoderError: unknown name, or weights that do not fit.
    """

    def __init__(
        self, name: str = "resnet50", weights: str = "none", stem: str = "standard", *, deep: bool = False
    ) -> None:
        super().__init__()
        if name not in _MAKERS:
            raise EncoderError(f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}")
        if stem not in ("standard", "fine"):
            raise EncoderError(f"stem {stem!r} is neither 'standard' nor 'fine'")
        network = _MAKERS[name](weights="IMAGENET1K_V1" if weights == "imagenet" else None)
        if weights not in ("none", "imagenet"):
            _load(network, name, Path(weights), ("fc.",) if deep else ("layer4.", "fc."))
        self.conv1, self.bn1 = network.conv1, network.bn1
        self.pool = nn.MaxPool2d(3, 2, 1) if stem == "standard" else nn.Identity()
        self.layer1, self.layer2, self.layer3 = network.layer1, network.layer2, network.layer3
        if deep:
            self.layer4 = network.layer4
        self.channels = 1024 if name == "resnet50" else 256

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images B×3×H×W -> ψ B×C×h×w."""
        return self.levels(images)[1]

    def levels(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the output of ``layer2`` before it, B×C/2×2h×2w."""
        x: Tensor = self.pool(torch.relu(self.bn1(self.conv1(images))))
        low: Tensor = self.layer2(self.layer1(x))
        psi: Tensor = self.layer3(low)
        return low, psi


def _load(network: torchvision.models.ResNet, name: str, path: Path, unused: tuple[str, ...]) -> None:
    if not path.is_file():
        raise EncoderError(f"backbone weights {path} do not exist (give 'none', 'imagenet' or a file)")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        missing = network.load_state_dict(state, strict=False).missing_keys
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or ["nothing in it"])[0]
        raise EncoderError(f"{path} does not hold torchvision weights of {name}: {reason}") from error
    if needed := [key for key in missing if not key.startswith(unused)]:
        raise EncoderError(f"{path} does not hold the weights of {name}: {needed[0]} is missing")
