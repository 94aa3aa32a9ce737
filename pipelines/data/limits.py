"""Caps on one picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageLimits:
    """What a picture may have at most; checked before it is decoded.

    Args:
        max_bytes: of the encoded file.
        max_pixels: width times height, as the header states it.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000


LIMITS = ImageLimits()
