"""Details, drawn last, each where no other one covers it."""

from __future__ import annotations

import math
from itertools import pairwise

from .canvas import Canvas
from .clutter import Colour
from .garment import Garment
from .palette import Palette
from .shapes import WAIST, Points, arc, bottom, cuff_band, half_width, mirror, side

_GOLD: Colour = (232, 186, 60)


def draw_details(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    """All details of a garment, in the order in which they lie on each other."""
    draw = {
        "frill": _frill,
        "trim": _trim,
        "pockets": _pockets,
        "buttons": _buttons,
        "belt": _belt,
        "badge": _badge,
        "bow": _bow,
    }
    for name, function in draw.items():
        if name in garment.details:
            function(canvas, garment, hem, colours)


def _lower_edge(category: str, hem: float) -> Points:
    """The lower edge from the left to the right, without slits; a jumpsuit's is two legs' and has a gap."""
    outer = side(category, hem)[-1]
    if category == "jumpsuit":
        return [outer, bottom(category, hem)[0]]
    return [outer, *(p for p in bottom(category, hem) if category == "shirt" or p[1] >= hem)]


def _frill(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    edge = _lower_edge(garment.category, hem)
    halves = [edge, mirror(edge)]
    for half in halves:
        for x, y in _walk(half, 4.4):
            canvas.shape(arc((x, y + 0.6), (2.9, 3.4), steps=10), colours.detail, colours.detail_edge, 0.7)


def _walk(points: Points, step: float) -> Points:
    """Points at about equal distances along a line, the first half a step from its start."""
    lengths = [math.dist(a, b) for a, b in pairwise(points)]
    count = max(1, round(sum(lengths) / step))
    out: Points = []
    for n in range(count):
        rest = (n + 0.5) * sum(lengths) / count
        for (ax, ay), (bx, by), length in zip(points, points[1:], lengths, strict=False):
            if rest <= length:
                share = rest / length
                out.append((ax + (bx - ax) * share, ay + (by - ay) * share))
                break
            rest -= length
    return out


def _trim(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    """Contrasting bands above the hem and at the cuffs."""
    top, low = hem - 10.5, hem - 6.0
    outer_top, outer_low = half_width(garment.category, hem, top), half_width(garment.category, hem, low)
    band: Points = [(outer_top, top), (outer_low, low)]
    if garment.category == "jumpsuit":
        inner = bottom(garment.category, hem)[0][0]
        legs: Points = [*band, (inner, low), (inner - 0.6, top)]
        shapes = [legs, mirror(legs)]
    else:
        shapes = [[*band, *mirror(band)[::-1]]]
    cuff = cuff_band(garment.sleeve_length, garment.category, 4.0)
    shapes += [cuff, mirror(cuff)] if cuff else []
    for points in shapes:
        canvas.shape(points, colours.detail, colours.detail_edge, 0.7)


def _pockets(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    y = 33.0 if hem > 45 else 32.5
    height = 9.5 if hem > 45 else 7.5
    pocket: Points = [(4.0, y), (12.0, y), (12.0, y + height - 2), (8.0, y + height), (4.0, y + height - 2)]
    for points in (pocket, mirror(pocket)):
        canvas.shape(points, colours.detail, colours.detail_edge, 0.9)
        canvas.line([(points[0][0], y + 2.6), (points[1][0], y + 2.6)], colours.detail_edge, 0.9)


def _buttons(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    columns = (-6.5, 6.5) if garment.category == "coat" else (0.0,)
    for x in columns:
        for y in (20.0, 25.5, 34.5, 40.0 if hem > 45 else 39.0, *((46.5, 53.0) if hem > 45 else ())):
            if garment.category == "jumpsuit" and y > 34.5:
                break
            canvas.shape(arc((x, y), (2.2, 2.2), steps=12), colours.detail, colours.detail_edge, 0.8)


def _belt(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    top, low = WAIST - 2.2, WAIST + 2.2
    band: Points = [
        (half_width(garment.category, hem, top) + 0.6, top),
        (half_width(garment.category, hem, low) + 0.6, low),
    ]
    canvas.shape([*band, *mirror(band)[::-1]], colours.detail, colours.detail_edge, 0.7)
    canvas.shape([(-3, top - 0.8), (3, top - 0.8), (3, low + 0.8), (-3, low + 0.8)], _GOLD, colours.detail_edge, 0.9)


def _badge(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    x, y = 8.8, 18.5
    canvas.shape(arc((x, y), (6.4, 6.4)), colours.detail, colours.detail_edge, 0.8)
    star: Points = []
    for n in range(10):
        radius, angle = (5.4, 2.3)[n % 2], math.radians(36 * n - 90)
        star.append((x + radius * math.cos(angle), y + radius * math.sin(angle)))
    canvas.shape(star, _GOLD, colours.detail_edge, 0.5)


def _bow(canvas: Canvas, garment: Garment, hem: float, colours: Palette) -> None:
    x, y = -8.3, 19.5
    for sign in (-1, 1):
        loop = [(x, y), (x + sign * 7.8, y - 6.2), (x + sign * 7.8, y + 5.4)]
        tail = [(x, y), (x + sign * 1.8, y + 10.4), (x + sign * 6.0, y + 8.8)]
        canvas.shape(tail, colours.detail, colours.detail_edge, 0.7)
        canvas.shape(loop, colours.detail, colours.detail_edge, 0.7)
    canvas.shape(arc((x, y), (2.2, 2.5), steps=10), _GOLD, colours.detail_edge, 0.8)
