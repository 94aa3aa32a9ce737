"""Pictures of garments: each class shows, and shows where it should."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.data.wardrobe import CLASSES, Garment, draw, render, sample_clutter, sample_garment
from pipelines.data.wardrobe.canvas import Canvas
from pipelines.data.wardrobe.drawing import frame
from pipelines.data.wardrobe.palette import CLOTH
from pipelines.data.wardrobe.shapes import HEM

SIZE = 192
BASE = Garment("shirt", "round", "short", "knee", "plain", "blue", ("buttons",))
# Garment units (left, top, right, bottom) that a change may touch.
COLLAR = (-17, -18, 17, 19)
REGIONS = {
    "badge": (2, 11, 16, 26), "belt": (-20, 25, 20, 33), "bow": (-17, 12, 0, 31), "buttons": (-10, 17, 10, 57),
    "frill": (-36, 50, 36, 70), "pockets": (-14, 30, 14, 45), "trim": (-36, 8, 36, 64),
}  # fmt: skip
SHADOW = 14  # pixels that a part's shadow reaches at this size


def picture(garment: Garment, seed: int, size: int = SIZE) -> NDArray[np.int16]:
    return np.asarray(render(garment, size, np.random.default_rng(seed)), np.int16)


def box(garment: Garment, seed: int, region: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """The pixels of a region in garment units, with room for the shadow."""
    canvas: Canvas = frame(garment, SIZE, sample_clutter(np.random.default_rng(seed)))
    left, top, right, bottom = region
    corners = np.array(canvas.place(list(product((left, right), (top, bottom))))) * SIZE / canvas.size
    (x0, y0), (x1, y1) = corners.min(0) - SHADOW, corners.max(0) + SHADOW
    return slice(max(0, int(y0)), int(y1) + 1), slice(max(0, int(x0)), int(x1) + 1)


def change(garment: Garment, attribute: str, name: str) -> Garment:
    value: object = (name,) if attribute == "details" else name
    return replace(garment, **{attribute: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("collar", [c for c in CLASSES["collar"] if c != BASE.collar])
def test_another_collar_changes_the_neck_alone(collar: str, seed: int) -> None:
    different = np.abs(picture(BASE, seed) - picture(change(BASE, "collar", collar), seed)).max(2)
    inside = box(BASE, seed, COLLAR)
    assert (different[inside] > 30).sum() > 120
    different[inside] = 0
    assert different.max() <= 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("detail", CLASSES["details"])
def test_a_detail_shows_in_its_place_alone(detail: str, seed: int) -> None:
    bare = replace(BASE, details=())
    different = np.abs(picture(bare, seed) - picture(replace(BASE, details=(detail,)), seed)).max(2)
    inside = box(BASE, seed, REGIONS[detail])
    assert (different[inside] > 40).sum() > 150
    different[inside] = 0
    assert different.max() <= 2


@pytest.mark.parametrize(("category", "hem"), list(product(CLASSES["category"], CLASSES["hem_length"])))
def test_every_class_can_be_seen_on_every_kind_of_garment(category: str, hem: str) -> None:
    """At 96 px, changing any class to any other changes many pixels by much."""
    base = replace(BASE, category=category, hem_length=hem, details=("belt",))
    for attribute, classes in CLASSES.items():
        pictures = [picture(change(base, attribute, name), 3, 96) for name in classes]
        for n, first in enumerate(pictures):
            for other in pictures[:n]:
                seen = (np.abs(first - other).max(2) > 35).sum()
                assert seen > 25, (attribute, classes, n)


@pytest.mark.parametrize("detail", CLASSES["details"])
def test_no_detail_hides_another(detail: str) -> None:
    for category, hem in product(CLASSES["category"], CLASSES["hem_length"]):
        whole = replace(BASE, category=category, hem_length=hem, details=CLASSES["details"])
        without = replace(whole, details=tuple(d for d in CLASSES["details"] if d != detail))
        assert (np.abs(picture(whole, 1, 96) - picture(without, 1, 96)).max(2) > 40).sum() > 20, (category, hem)


@pytest.mark.parametrize("colour", CLASSES["colour"])
def test_light_never_makes_one_colour_another(colour: str) -> None:
    """The body's middle is nearest to its own colour, whatever the clutter."""
    references = np.array(list(CLOTH.values()), float)
    garment = replace(BASE, colour=colour, category="dress", details=("frill",))
    for seed in range(25):
        middle = picture(garment, seed)[box(garment, seed, (-6, 20, 6, 26))].reshape(-1, 3)
        found = int(np.linalg.norm(references - np.median(middle, 0), axis=1).argmin())
        assert list(CLOTH)[found] == colour, seed


def test_the_same_state_draws_the_same_picture_and_another_one_another() -> None:
    assert np.array_equal(picture(BASE, 0), picture(BASE, 0))
    assert np.abs(picture(BASE, 0) - picture(BASE, 1)).mean() > 5


def test_clutter_is_the_same_for_every_garment() -> None:
    first, second = np.random.default_rng(7), np.random.default_rng(7)
    render(BASE, 32, first)
    render(sample_garment(np.random.default_rng(1)), 32, second)
    assert first.random() == second.random()


@pytest.mark.parametrize("size", [16, 33, 96, 256])
def test_any_size(size: int) -> None:
    image = draw(BASE, size, sample_clutter(np.random.default_rng(0)))
    assert image.size == (size, size) and image.mode == "RGB"


@pytest.mark.parametrize("hem", HEM)
def test_a_garment_lies_within_its_picture(hem: str) -> None:
    """Nothing that tells a class is cut off: the neck, the hem and the cuffs are in the picture."""
    garment = replace(BASE, hem_length=hem, sleeve_length="long", category="tunic")
    for seed in range(60):
        canvas = frame(garment, SIZE, sample_clutter(np.random.default_rng(seed)))
        low, cuff = HEM[hem], 50.0
        points = canvas.place([(0, -14), (0, low), (-20, low), (20, low), (-34, cuff), (34, cuff)])
        assert all(-0.03 * canvas.size < x < 1.03 * canvas.size for x, _ in points), seed
        assert all(-0.05 * canvas.size < y < 1.03 * canvas.size for _, y in points), seed
