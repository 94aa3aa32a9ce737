"""A canvas in garment units: everything is drawn by points, shifted, scaled and turned on its way to the pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw

from .clutter import Clutter, Colour
from .shapes import Points

UNITS = 112.0  # height and width of the picture
_OVERSAMPLING = 2


class Canvas:
    """An RGBA layer of a picture of size×size pixels, drawn larger and scaled down by `finish`."""

    def __init__(self, size: int, clutter: Clutter, middle: float, fit: float) -> None:
        """
        Args:
            size: of the finished layer, pixels.
            clutter: gives shift, scale and turn.
            middle: the garment's height (units) that comes to the picture's middle.
            fit: magnification at which the garment fills the picture.
        """
        self.size = size * _OVERSAMPLING
        self.image = Image.new("RGBA", (self.size, self.size), (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self.image)
        angle = math.radians(clutter.turn)
        self._pixels = self.size / UNITS * clutter.scale * fit
        self._cos, self._sin = math.cos(angle) * self._pixels, math.sin(angle) * self._pixels
        self._middle = middle
        self._centre = (
            self.size / 2 + clutter.shift[0] * self.size / UNITS,
            self.size / 2 + clutter.shift[1] * self.size / UNITS,
        )

    def place(self, points: Sequence[tuple[float, float]]) -> Points:
        """Garment units -> pixels of the enlarged layer."""
        cx, cy = self._centre
        return [
            (cx + x * self._cos - (y - self._middle) * self._sin, cy + x * self._sin + (y - self._middle) * self._cos)
            for x, y in points
        ]

    def width(self, units: float) -> int:
        """A line's width in pixels, at least 1."""
        return max(1, round(units * self._pixels))

    def fill(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """A filled shape."""
        self._pen.polygon(self.place(points), fill=colour)

    def line(self, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        """A line through points; `width` in units."""
        self._pen.line(self.place(points), fill=colour, width=self.width(width), joint="curve")

    def shape(self, points: Sequence[tuple[float, float]], colour: Colour, edge: Colour, width: float = 0.9) -> None:
        """A filled shape with an edge."""
        self.fill(points, colour)
        self.outline(points, edge, width)

    def outline(self, points: Sequence[tuple[float, float]], colour: Colour, width: float) -> None:
        """The edge of a closed shape."""
        self.line([*points, points[0], points[1]], colour, width)

    def layer(self, shapes: Sequence[Points]) -> Image.Image:
        """Filled shapes as a mask (L, of the enlarged size)."""
        mask = Image.new("L", (self.size, self.size), 0)
        pen = ImageDraw.Draw(mask)
        for points in shapes:
            pen.polygon(self.place(points), fill=255)
        return mask

    def dye(self, pattern: Image.Image, inside: Points, colour: Colour) -> None:
        """Colour what lies both under a pattern's mask and inside a shape."""
        self.image.paste(colour, mask=ImageChops.darker(pattern, self.layer([inside])))

    def shadow(self, points: Points, inside: Points, strength: float) -> None:
        """Darken a shape, where it lies inside another, by a share."""
        mask = ImageChops.darker(self.layer([points]), self.layer([inside])).point(lambda a: a * strength)
        self.image.paste((0, 0, 0), mask=mask)

    def finish(self) -> Image.Image:
        """The layer at its final size -> RGBA size×size."""
        return self.image.reduce(_OVERSAMPLING)
