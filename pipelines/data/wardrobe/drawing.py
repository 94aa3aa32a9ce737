"""The picture of a garment: cloth, collar and details, on a hanger or not, in front of a cluttered background."""

from __future__ import annotations

from numpy.random import Generator
from PIL import Image, ImageFilter

from .canvas import UNITS, Canvas
from .cloth import draw_cloth
from .clutter import Clutter, Colour, background, develop, sample_clutter
from .collars import draw_collar
from .details import draw_details
from .garment import Garment
from .palette import palette
from .shapes import HEM

_MARGIN = 2.0  # units kept free above and below
_LARGEST = 1.3  # magnification at which long sleeves still fit
_TOP = -15.0  # of a hood
_WOOD: Colour = (150, 108, 70)
_STEEL: Colour = (120, 124, 130)


def render(garment: Garment, size: int, clutter_rng: Generator) -> Image.Image:
    """A picture of a garment -> RGB size×size. The same generator state gives the same clutter for every garment."""
    return draw(garment, size, sample_clutter(clutter_rng))


def draw(garment: Garment, size: int, clutter: Clutter) -> Image.Image:
    """A picture of a garment with the given clutter -> RGB size×size."""
    colours = palette(garment.colour, clutter.light)
    hem = HEM[garment.hem_length]
    canvas = frame(garment, size, clutter)
    if clutter.hanger:
        _draw_hanger(canvas)
    draw_cloth(canvas, garment, hem, colours, clutter)
    draw_collar(canvas, garment.collar, colours)
    draw_details(canvas, garment, hem, colours)
    return develop(_compose(canvas.finish(), background(clutter, size, colours.cloth)), clutter)


def frame(garment: Garment, size: int, clutter: Clutter) -> Canvas:
    """The empty canvas on which a garment of this length fills the picture."""
    hem = HEM[garment.hem_length]
    fit = min(_LARGEST, (UNITS - 2 * _MARGIN) / (hem - _TOP + 3))
    return Canvas(size, clutter, (hem + _TOP) / 2, fit)


def _draw_hanger(canvas: Canvas) -> None:
    canvas.line([(0, 0), (0, -11), (2.6, -13.5), (1.0, -17), (-2.4, -16), (-2.6, -14)], _STEEL, 1.2)
    canvas.line([(-15, 4), (0, -2), (15, 4)], _WOOD, 3.0)


def _compose(layer: Image.Image, wall: Image.Image) -> Image.Image:
    """A layer and its soft shadow in front of a wall."""
    size = wall.width
    shadow = layer.getchannel("A").point(lambda a: a * 0.4).filter(ImageFilter.GaussianBlur(size / 40))
    offset = max(1, size // 32)
    wall.paste((0, 0, 0), (offset, offset), shadow)
    wall.paste(layer, mask=layer)
    return wall
