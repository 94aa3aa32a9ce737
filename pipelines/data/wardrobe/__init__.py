"""The demo wardrobe: drawn garments with known labels, any number of them, the same for the same seed."""

from .clutter import Clutter, sample_clutter
from .drawing import draw, render
from .garment import CLASSES, Garment, change_garment, sample_garment
from .generate import SCHEMA, garment_of, generate, split_of, write_wardrobe

__all__ = [
    "CLASSES",
    "SCHEMA",
    "Clutter",
    "Garment",
    "change_garment",
    "draw",
    "garment_of",
    "generate",
    "render",
    "sample_clutter",
    "sample_garment",
    "split_of",
    "write_wardrobe",
]
