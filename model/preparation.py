"""Image preparation: how a decoded picture becomes the encoder's input. Part of an encoder's identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .errors import EncoderError

# Channel statistics of ImageNet, which torchvision's weights were trained with (and harmless without weights).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImagePreparation:
    """Resizing to one size, then channel-wise normalisation.

    Args:
        height: of the encoder's input, pixels.
        width: of the encoder's input, pixels.
        fit: ``pad`` scales the whole picture into the frame and fills the rest (letterbox, ours: nothing of a
            tall garment is lost); ``crop`` scales the shorter side and cuts the centre (the papers').
        fill: grey level 0..255 of the padding.
    """

    height: int = 224
    width: int = 224
    fit: Literal["pad", "crop"] = "pad"
    fill: int = 255

    def __post_init__(self) -> None:
        if self.height < 16 or self.width < 16:
            raise EncoderError(f"image size {self.height}x{self.width} is below the 16x16 that a backbone needs")
        if self.fit not in ("pad", "crop"):
            raise EncoderError(f"image fit {self.fit!r} is neither 'pad' nor 'crop'")
        if not 0 <= self.fill <= 255:
            raise EncoderError(f"image fill {self.fill} is not in 0..255")

    def box(self, width: int, height: int) -> tuple[int, int]:
        """Size (width, height) of the whole of a picture at the scale of its frame."""
        ratios = self.width / width, self.height / height
        scale = min(ratios) if self.fit == "pad" else max(ratios)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def apply(self, image: Image.Image) -> np.ndarray:
        """Scale and frame an RGB picture -> uint8 H×W×3."""
        assert image.mode == "RGB", image.mode
        if self.fit == "crop":  # cut first: a long picture, scaled as a whole, would be gigabytes
            scale = max(self.width / image.width, self.height / image.height)
            # Clamped, since one side fits but for its rounding.
            left = max(0.0, (image.width - self.width / scale) / 2)
            top = max(0.0, (image.height - self.height / scale) / 2)
            box = (left, top, image.width - left, image.height - top)
            return np.asarray(self._scale(image, (self.width, self.height), box))
        size = self.box(*image.size)
        image = self._scale(image, size)
        if size == (self.width, self.height):
            return np.asarray(image)
        frame = Image.new("RGB", (self.width, self.height), (self.fill,) * 3)
        frame.paste(image, ((self.width - size[0]) // 2, (self.height - size[1]) // 2))
        return np.asarray(frame)

    def _scale(
        self, image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
    ) -> Image.Image:
        if image.size == size and box in (None, (0, 0, *size)):
            return image
        return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)

    def to_json(self) -> dict[str, Any]:
        """A JSON object of the fields."""
        return asdict(self)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def normalize(images: Tensor) -> Tensor:
    """uint8 B×3×H×W (or float in 0..255) -> float32 of zero mean and unit variance per channel on ImageNet."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1) * 255
    return (images.to(torch.float32) - mean) / std
