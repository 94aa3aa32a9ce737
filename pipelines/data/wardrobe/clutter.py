"""What differs between two photographs of one garment: where it hangs, the light, and what is behind it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
_CONTRAST = 75.0  # least distance in RGB between a garment and what is behind it


@dataclass(frozen=True)
class Clutter:
    """Everything that is random in one picture but the garment.

    Args:
        shift: of the garment, in garment units.
        scale: 1 = as large as fits.
        turn: degrees clockwise.
        light: factor on the garment's colour.
        slant: change of brightness across the picture, (right, down), as a share.
        walls: background colours in order of preference; the first that stands out from the garment is taken.
        floor: height of the floor line, 0..1 from the top; above 1 there is none.
        boards: what stands in the background: (x, y, width, height as shares of the picture, brightness).
        phase: of the pattern, in garment units.
        hanger: whether the garment hangs on one.
        noise: seed of the grain.
        grain: its standard deviation, grey levels.
    """

    shift: tuple[float, float]
    scale: float
    turn: float
    light: float
    slant: tuple[float, float]
    walls: tuple[Colour, ...]
    floor: float
    boards: tuple[tuple[float, float, float, float, float], ...]
    phase: tuple[float, float]
    hanger: bool
    noise: int
    grain: float


def sample_clutter(rng: Generator) -> Clutter:
    """Clutter drawn at random, always with the same number of draws."""
    walls = tuple(_wall(*rng.random(3)) for _ in range(4))
    boards = tuple(
        (float(x), float(y), 0.08 + 0.3 * float(w), 0.1 + 0.5 * float(h), -0.14 + 0.28 * float(b))
        for x, y, w, h, b in rng.random((4, 5))
    )
    return Clutter(
        shift=(float(rng.uniform(-7, 7)), float(rng.uniform(-4, 4))),
        scale=float(rng.uniform(0.85, 1.0)),
        turn=float(rng.uniform(-9, 9)),
        light=float(rng.uniform(0.92, 1.06)),
        slant=(float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.1, 0.1))),
        walls=walls,
        floor=float(rng.uniform(0.72, 1.3)),
        boards=boards[: int(rng.integers(0, 5))],
        phase=(float(rng.uniform(0, 20)), float(rng.uniform(0, 20))),
        hanger=bool(rng.random() < 0.6),
        noise=int(rng.integers(2**31)),
        grain=float(rng.uniform(1, 5)),
    )


def _wall(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.04 + 0.24 * saturation, 0.42 + 0.55 * value)
    return round(red * 255), round(green * 255), round(blue * 255)


def background(clutter: Clutter, size: int, garment: Colour) -> Image.Image:
    """The wall behind a garment of the given colour, with what stands there -> RGB size×size."""
    wall = max(clutter.walls, key=lambda w: _distance(w, garment))
    for candidate in clutter.walls:
        if _distance(candidate, garment) >= _CONTRAST:
            wall = candidate
            break
    image = Image.new("RGB", (size, size), wall)
    pen = ImageDraw.Draw(image)
    for x, y, width, height, brightness in clutter.boards:
        box = [x * size, y * size, (x + width) * size, (y + height) * size]
        pen.rectangle(box, fill=shade(wall, 1 + brightness))
    if clutter.floor < 1:
        pen.rectangle([0, clutter.floor * size, size, size], fill=shade(wall, 0.84))
    return image


def develop(image: Image.Image, clutter: Clutter) -> Image.Image:
    """Light falling from one side, and grain."""
    size = image.width
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = 1 + clutter.slant[0] * ramp[None, :] + clutter.slant[1] * ramp[:, None]
    grain = np.random.default_rng(clutter.noise).standard_normal((size, size), np.float32) * np.float32(clutter.grain)
    pixels: NDArray[np.float32] = np.asarray(image, np.float32) * light[:, :, None] + grain[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker (below 1) or lighter (above 1)."""
    red, green, blue = (min(255, max(0, round(c * factor))) for c in colour)
    return red, green, blue


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """A colour with a share of another in it."""
    red, green, blue = (round(c * (1 - share) + o * share) for c, o in zip(colour, other, strict=True))
    return red, green, blue


def _distance(a: Colour, b: Colour) -> float:
    return float(np.linalg.norm(np.subtract(a, b)))
