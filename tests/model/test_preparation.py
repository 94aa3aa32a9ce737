from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from model.errors import EncoderError
from model.preparation import MEAN, STD, ImagePreparation, normalize


@pytest.mark.parametrize("size", [(60, 80), (300, 20), (20, 300), (48, 48), (1, 1)])
def test_pad_keeps_the_whole_picture(size: tuple[int, int]) -> None:
    preparation = ImagePreparation(48, 48)
    frame = preparation.apply(Image.new("RGB", size, (255, 0, 0)))
    assert frame.shape == (48, 48, 3) and frame.dtype == np.uint8
    red = (frame == (255, 0, 0)).all(-1)
    white = (frame == (255, 255, 255)).all(-1)
    assert (red | white).all()
    width, height = preparation.box(*size)
    assert red.sum() == width * height and max(width, height) == 48


def test_crop_cuts_the_longer_side() -> None:
    picture = Image.new("RGB", (30, 90), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 30, 30, 60))  # the middle third
    frame = ImagePreparation(30, 30, fit="crop").apply(picture)
    assert (frame == (255, 0, 0)).all()


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1)])
def test_crop_of_a_long_picture_stays_small(size: tuple[int, int]) -> None:
    tracemalloc.start()
    frame = ImagePreparation(224, 224, fit="crop").apply(Image.new("RGB", size, (1, 2, 3)))
    assert (frame == (1, 2, 3)).all() and frame.shape == (224, 224, 3)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_untouched_at_its_own_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    assert np.array_equal(ImagePreparation(40, 30).apply(Image.fromarray(pixels)), pixels)


def test_digest_follows_every_field() -> None:
    kinds = [ImagePreparation(), ImagePreparation(height=200), ImagePreparation(fit="crop"), ImagePreparation(fill=0)]
    assert len({kind.digest for kind in kinds}) == 4


@pytest.mark.parametrize("wrong", [{"height": 8}, {"fit": "squash"}, {"fill": 300}])
def test_impossible(wrong: dict[str, object]) -> None:
    with pytest.raises(EncoderError):
        ImagePreparation(**wrong)  # type: ignore[arg-type]


def test_normalize() -> None:
    grey = torch.full((1, 3, 2, 2), 100, dtype=torch.uint8)
    expected = (100 / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(normalize(grey)[0, :, 0, 0], expected)
