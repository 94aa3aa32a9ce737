"""Patterns as shapes that cover the area a garment can fill, in garment units."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from .shapes import Points, arc

_LEFT, _RIGHT, _TOP, _BOTTOM = -44.0, 44.0, -22.0, 96.0


def pattern_shapes(pattern: str, phase: tuple[float, float]) -> list[Points]:
    """The shapes of a pattern, moved by `phase`; none for a plain garment."""
    if pattern == "plain":
        return []
    return {"stripes": _stripes, "checks": _checks, "dots": _dots, "zigzag": _zigzag, "flowers": _flowers}[pattern](
        *phase
    )


def _starts(first: float, last: float, step: float, phase: float) -> list[float]:
    return [float(v) for v in np.arange(first - step + phase % step, last + step, step)]


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _stripes(x: float, y: float) -> list[Points]:
    return [_box(_LEFT, top, _RIGHT, top + 3.4) for top in _starts(_TOP, _BOTTOM, 8.5, y)]


def _checks(x: float, y: float) -> list[Points]:
    across = [_box(_LEFT, top, _RIGHT, top + 1.9) for top in _starts(_TOP, _BOTTOM, 9.0, y)]
    return across + [_box(left, _TOP, left + 1.9, _BOTTOM) for left in _starts(_LEFT, _RIGHT, 9.0, x)]


def _grid(step: float, x: float, y: float) -> list[tuple[float, float]]:
    """Points of a grid whose every other row is moved by half a step."""
    rows = _starts(_TOP, _BOTTOM, step, y)
    return [(left + (n % 2) * step / 2, top) for n, top in enumerate(rows) for left in _starts(_LEFT, _RIGHT, step, x)]


def _dots(x: float, y: float) -> list[Points]:
    return [arc(centre, (2.5, 2.5), steps=10) for centre in _grid(9.6, x, y)]


def _zigzag(x: float, y: float) -> list[Points]:
    xs = _starts(_LEFT, _RIGHT, 5.0, x % 10)
    bands = []
    for top in _starts(_TOP, _BOTTOM, 10.5, y):
        upper = [(left, top + 6.0 * (n % 2)) for n, left in enumerate(xs)]
        bands.append(upper + [(left, height + 3.4) for left, height in reversed(upper)])
    return bands


def _flowers(x: float, y: float) -> list[Points]:
    petals = [(math.cos(a), math.sin(a)) for a in np.radians(np.arange(0, 360, 72))]
    return [
        arc((cx + 2.9 * px, cy + 2.9 * py), (1.75, 1.75), steps=8)
        for (cx, cy), (px, py) in product(_grid(13.5, x, y), petals)
    ]
