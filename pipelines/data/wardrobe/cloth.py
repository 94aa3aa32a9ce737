"""The cloth: sleeves and body with their pattern, folds and what tells one category from another."""

from __future__ import annotations

from . import shapes
from .canvas import Canvas
from .clutter import Clutter
from .collars import hood_outline
from .garment import Garment
from .palette import Palette
from .patterns import pattern_shapes
from .shapes import WAIST, Points, mirror, smooth


def draw_cloth(canvas: Canvas, garment: Garment, hem: float, colours: Palette, clutter: Clutter) -> None:
    """Everything of a garment but its collar and details."""
    pattern = canvas.layer(pattern_shapes(garment.pattern, clutter.phase))
    arm = shapes.arm(garment.sleeve_length, garment.category)
    parts = [hood_outline()] if garment.collar == "hood" else []
    parts += [smooth(arm), mirror(smooth(arm))] if arm else []
    body = shapes.body(garment.category, hem, garment.sleeve_length)
    for points in (*parts, body):
        canvas.fill(points, colours.cloth)
        canvas.dye(pattern, points, colours.pattern)
        canvas.outline(points, colours.edge, 1.1)
    _shade(canvas, garment.category, hem, body)
    _folds(canvas, garment, hem, colours)
    _marks(canvas, garment, hem, colours)


def _shade(canvas: Canvas, category: str, hem: float, body: Points) -> None:
    """The side that is turned away from the light."""
    edge = shapes.side(category, hem)
    canvas.shadow([*edge, *((x * 0.72 - 1, y) for x, y in reversed(edge))], body, 0.13)


def _folds(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    """Soft creases down the lower body."""
    if garment.pattern != "plain" or garment.category in ("jumper", "coat"):
        return
    for share in (-0.55, 0.55):
        top = WAIST + 4
        low = shapes.half_width(garment.category, hem, hem) * share
        start = shapes.half_width(garment.category, hem, top) * share
        canvas.line([(start, top), (low, hem - 11)], colours.fold, 1.2)


def _marks(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    """The seams that make a coat a coat."""
    {"coat": _coat, "dress": _waist, "jumper": _ribs, "jumpsuit": _legs, "shirt": _placket, "tunic": _yoke}[
        garment.category
    ](canvas, garment, hem, colours)


def _coat(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    """Open at the front, with a lining."""
    gap: Points = [(0, 17), (-2.4, 24), (-5.2, hem), (5.2, hem), (2.4, 24)]
    canvas.fill(gap, colours.inside)
    canvas.line([(0, 4), *gap[:3]], colours.edge, 1.4)
    canvas.line([(0, 17), gap[4], gap[3]], colours.edge, 1.4)


def _waist(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    width = shapes.half_width(garment.category, hem, WAIST)
    canvas.line([(-width, WAIST), (width, WAIST)], colours.edge, 1.4)
    for x in (-6.0, -2.0, 2.0, 6.0):
        canvas.line([(x, WAIST), (x * 1.5, WAIST + 6)], colours.edge, 0.7)


def _ribs(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    band: Points = [(14.5, hem - 7), (14.5, hem)]
    canvas.shape([*band, *mirror(band)[::-1]], colours.band, colours.edge, 1.0)
    for n in range(-4, 5):
        canvas.line([(n * 3.2, hem - 6.5), (n * 3.2, hem - 0.5)], colours.edge, 0.7)
    cuff = shapes.cuff_band(garment.sleeve_length, garment.category, 4.5)
    for points in (cuff, mirror(cuff)) if cuff else ():
        canvas.shape(points, colours.band, colours.edge, 1.0)


def _legs(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    width = shapes.half_width(garment.category, hem, WAIST)
    canvas.line([(-width, WAIST), (width, WAIST)], colours.edge, 1.4)
    crotch = shapes.bottom(garment.category, hem)[-1]
    canvas.line([(0, WAIST), crotch], colours.edge, 1.0)


def _placket(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    band: Points = [(-2.9, 4), (2.9, 4), (2.9, hem + 1), (-2.9, hem + 1)]
    canvas.shape(band, colours.band, colours.edge, 0.9)


def _yoke(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    canvas.line([(-13.5, 14), (13.5, 14)], colours.edge, 1.2)
