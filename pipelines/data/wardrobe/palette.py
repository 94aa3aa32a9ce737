"""The colours of one garment: its cloth, and what must stand out from it."""

from __future__ import annotations

from dataclasses import dataclass

from .clutter import Colour, mix, shade

CLOTH: dict[str, Colour] = {
    "black": (38, 38, 44),
    "blue": (48, 98, 196),
    "brown": (122, 80, 50),
    "green": (54, 146, 84),
    "grey": (136, 138, 142),
    "pink": (242, 148, 186),
    "purple": (118, 62, 166),
    "red": (202, 40, 46),
    "white": (240, 238, 232),
    "yellow": (242, 204, 56),
}
_CREAM: Colour = (250, 244, 226)
_INK: Colour = (36, 32, 44)
_WHITE: Colour = (255, 255, 255)
_BLACK: Colour = (0, 0, 0)


@dataclass(frozen=True)
class Palette:
    """Colours of the cloth, the pattern on it, its edges and folds, its inside, and its details."""

    cloth: Colour
    pattern: Colour
    edge: Colour
    fold: Colour
    inside: Colour
    band: Colour
    detail: Colour
    detail_edge: Colour


def palette(colour: str, light: float) -> Palette:
    """The palette of a colour class under a light (factor, about 1)."""
    cloth = shade(CLOTH[colour], light)
    brightness = sum(cloth) / 3
    dark = brightness < 60
    pale = brightness > 150
    return Palette(
        cloth=cloth,
        pattern=mix(cloth, _BLACK, 0.5) if pale else mix(cloth, _WHITE, 0.72 if dark else 0.62),
        edge=mix(cloth, _WHITE, 0.45) if dark else mix(cloth, _BLACK, 0.55),
        fold=mix(cloth, _WHITE, 0.14) if dark else mix(cloth, _BLACK, 0.13),
        inside=mix(cloth, _WHITE, 0.38) if dark else mix(cloth, _BLACK, 0.45),
        band=mix(cloth, _WHITE, 0.22) if dark else mix(cloth, _BLACK, 0.2),
        detail=_INK if pale else _CREAM,
        detail_edge=_CREAM if pale else _INK,
    )
