"""Collars and necklines, drawn over the finished body."""

from __future__ import annotations

from .canvas import Canvas
from .palette import Palette
from .shapes import Points, arc, mirror

NECK = 8.0  # half the neck's width, units


def hood_outline() -> Points:
    """The hood behind the neck."""
    return [(-15, 7), *arc((0, -1), (14.5, 13.5), 165, 375, 14), (15, 7)]


def draw_collar(canvas: Canvas, collar: str, colours: Palette) -> None:
    """The neckline of the given class."""
    {
        "hood": _hood,
        "round": _round,
        "shirt collar": _shirt_collar,
        "square": _square,
        "turtleneck": _turtleneck,
        "v-neck": _v_neck,
    }[collar](canvas, colours)


def _opening(canvas: Canvas, edge: Points, colours: Palette, band: float = 2.6) -> None:
    """A neckline cut along `edge` (left to right), with the inside of the back above it."""
    back = arc((0, -0.4), (NECK, 2.2), 0, 180, 8)
    canvas.fill([*edge, *back], colours.inside)
    canvas.line(edge, colours.band, band)
    canvas.line(edge, colours.edge, 0.8)
    canvas.line(back, colours.edge, 0.8)


def _round(canvas: Canvas, colours: Palette) -> None:
    _opening(canvas, arc((0, -0.5), (NECK - 0.2, 7.0), 180, 0, 14), colours, 3.6)


def _v_neck(canvas: Canvas, colours: Palette) -> None:
    _opening(canvas, [(-NECK - 1.0, 0), (0, 19.5), (NECK + 1.0, 0)], colours)


def _square(canvas: Canvas, colours: Palette) -> None:
    _opening(canvas, [(-NECK - 2.8, 1.2), (-NECK - 2.8, 13.5), (NECK + 2.8, 13.5), (NECK + 2.8, 1.2)], colours)


def _shirt_collar(canvas: Canvas, colours: Palette) -> None:
    canvas.fill([(-7, -3), (7, -3), (8, 0), (0, 8), (-8, 0)], colours.inside)
    flap: Points = [(6.4, -4.2), (9.4, -0.5), (12.2, 8.2), (4.6, 12.2), (0.4, 5.2)]
    for points in (flap, mirror(flap)):
        canvas.shape(points, colours.band, colours.edge, 1.1)


def _turtleneck(canvas: Canvas, colours: Palette) -> None:
    tube: Points = [(-8.6, 2.5), (-7.6, -10), (7.6, -10), (8.6, 2.5), *arc((0, 2.5), (8.6, 3), 0, 180, 8)]
    canvas.shape(tube, colours.band, colours.edge, 1.1)
    for x in (-4.8, -1.6, 1.6, 4.8):
        canvas.line([(x, -8.5), (x * 1.1, 4.2)], colours.edge, 0.6)
    canvas.shape(arc((0, -10), (7.6, 1.9)), colours.inside, colours.edge, 0.8)


def _hood(canvas: Canvas, colours: Palette) -> None:
    canvas.shape([*arc((0, -1.5), (8.0, 9.0), 150, 390, 14), (0, 11)], colours.inside, colours.edge, 1.1)
    for x in (-4.2, 4.2):
        canvas.line([(x, 5.5), (x * 1.1, 16)], colours.detail_edge, 2.2)
        canvas.line([(x, 5.5), (x * 1.1, 16)], colours.detail, 1.3)
