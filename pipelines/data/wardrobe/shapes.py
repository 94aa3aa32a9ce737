"""Outlines of a garment's parts, as points in garment units.

The origin is the middle of the neck's base, x points to the right of the picture, y down. A garment is 34 wide at its
shoulders and, depending on its length, 42 to 84 long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Points = list[tuple[float, float]]

HEM = {"hip": 42.0, "knee": 62.0, "ankle": 84.0}
SLEEVE = {"sleeveless": 0.0, "short": 13.0, "three-quarter": 29.0, "long": 46.0}
WAIST = 29.0
_ARM = (math.sin(math.radians(23)), math.cos(math.radians(23)))  # direction of a hanging sleeve


def side(category: str, hem: float) -> Points:
    """The right edge of the body from the armpit to the hem, as (half width, y)."""
    sides: dict[str, Points] = {
        "coat": [(16.5, 17), (17.0, WAIST), (19.5, hem)],
        "dress": [(14.5, 17), (12.0, 23), (10.5, WAIST), (13.5, WAIST + 4), (16 + (hem - WAIST) * 0.30, hem)],
        "jumper": [(16.0, 17), (19.0, hem - 15), (20.5, hem - 10), (14.5, hem - 7), (14.5, hem)],
        "jumpsuit": [(14.5, 17), (12.0, 23), (11.0, WAIST), (15.0, WAIST + 7), (17 + (hem - 42) * 0.05, hem)],
        "shirt": [(15.0, 17), (14.6, WAIST), (15.2, hem - 9)],
        "tunic": [(14.5, 17), (15 + (hem - 17) * 0.30, hem)],
    }
    return sides[category]


def half_width(category: str, hem: float, y: float) -> float:
    """Half the body's width at a height below the armpit."""
    edge = side(category, hem)
    return float(np.interp(y, [p[1] for p in edge], [p[0] for p in edge]))


def shoulder(sleeve: str) -> Points:
    """The right edge from the neck to the armpit."""
    if sleeve == "sleeveless":
        return [(8.0, 0), (14.6, 2.8), (12.8, 8), (12.6, 13)]
    return [(8.0, 0), (16.0, 3.5), (17.5, 6)]


def bottom(category: str, hem: float) -> Points:
    """The right half of the lower edge, from the side to the middle."""
    if category == "shirt":
        return [(14.0, hem - 5), (11.0, hem - 1.2), (6.0, hem + 1), (0, hem + 1.5)]
    if category == "jumpsuit":
        outer = side(category, hem)[-1][0]
        crotch = max(WAIST + 5, min(44.0, hem - 9))
        return [(outer - 12.5, hem), (1.2, crotch + 2), (0, crotch)]
    if category == "tunic":
        outer = side(category, hem)[-1][0]
        slit = outer * 0.62
        return [(slit + 1.8, hem), (slit, hem - 9), (slit - 1.8, hem), (0, hem + 1)]
    if category == "dress":
        outer = side(category, hem)[-1][0]
        return [(outer * 0.5, hem + 2), (0, hem + 2.5)]
    return [(0, hem)]


def body(category: str, hem: float, sleeve: str) -> Points:
    """The closed outline of the body."""
    right = [*shoulder(sleeve), *side(category, hem), *bottom(category, hem)]
    return right + mirror(right)[::-1]


def arm(sleeve: str, category: str) -> Points:
    """The closed outline of the right sleeve; empty if there is none."""
    length = SLEEVE[sleeve]
    if not length:
        return []
    cuff = {"jumper": 4.6, "coat": 5.4, "tunic": 5.6}.get(category, 4.8)
    puff = 1.8 if category == "jumper" and length > 20 else 0.0
    start = (15.0, 9.5)
    end = along(start, length)
    middle = along(start, length * 0.75)
    return [
        (13.0, 2.8),
        (17.5, 4.5),
        off(along(start, 8), 6.2),
        off(middle, cuff + 0.3 + puff),
        off(end, cuff),
        off(end, -cuff),
        off(middle, -cuff - puff),
        (15.0, 18.5),
        (12.0, 16.0),
    ]


def cuff_band(sleeve: str, category: str, depth: float) -> Points:
    """A band across the end of the right sleeve; empty if there is none."""
    outline = arm(sleeve, category)
    if not outline:
        return []
    outer, inner = outline[4], outline[5]
    back = (-_ARM[0] * depth, -_ARM[1] * depth)
    return [outer, inner, (inner[0] + back[0], inner[1] + back[1]), (outer[0] + back[0], outer[1] + back[1])]


def along(start: tuple[float, float], distance: float) -> tuple[float, float]:
    """A point down the sleeve's middle."""
    return start[0] + _ARM[0] * distance, start[1] + _ARM[1] * distance


def off(point: tuple[float, float], distance: float) -> tuple[float, float]:
    """A point beside the sleeve's middle; positive is outwards."""
    return point[0] + _ARM[1] * distance, point[1] - _ARM[0] * distance


def mirror(points: Sequence[tuple[float, float]]) -> Points:
    """The same on the other side."""
    return [(-x, y) for x, y in points]


def arc(
    centre: tuple[float, float], radius: tuple[float, float], start: float = 0, stop: float = 360, steps: int = 16
) -> Points:
    """Points of an ellipse, degrees clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, steps + 1))
    return [(centre[0] + radius[0] * math.cos(a), centre[1] + radius[1] * math.sin(a)) for a in angles]


def smooth(points: Sequence[tuple[float, float]]) -> Points:
    """The corners of a closed outline cut once (Chaikin)."""
    out: Points = []
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        if abs(ax - bx) + abs(ay - by) < 1e-9:
            continue
        out += [(ax * 0.82 + bx * 0.18, ay * 0.82 + by * 0.18), (ax * 0.18 + bx * 0.82, ay * 0.18 + by * 0.82)]
    return out
