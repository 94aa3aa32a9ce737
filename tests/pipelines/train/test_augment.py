from __future__ import annotations

import numpy as np
import pytest
import torch

from model.errors import EncoderError
from pipelines.train.augment import AugmentationConfig, augment, draw_augmentation

STILL = AugmentationConfig(flip=0, scale=0, shift=0, rotate=0, shade=0, erase=0)


def pictures(count: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 24, 18), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def draws(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(draw_augmentation(count, np.random.default_rng(seed)))


@pytest.mark.parametrize("half", [False, True])
def test_nothing_changes_at_strength_zero(half: bool) -> None:
    images = pictures()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        still = augment(images, draws(6), STILL)
    torch.testing.assert_close(still, images.float(), atol=1e-2, rtol=0)


def test_flip() -> None:
    images, certain = pictures(), AugmentationConfig(flip=1, scale=0, shift=0, rotate=0, shade=0, erase=0)
    torch.testing.assert_close(augment(images, draws(6), certain), images.float().flip(-1), atol=1e-2, rtol=0)


@pytest.mark.parametrize("kind", ["scale", "shift", "shade", "erase", "rotate"])
def test_each_kind_changes_something_and_stays_in_range(kind: str) -> None:
    strength = 20.0 if kind == "rotate" else 0.9 if kind == "erase" else 0.3
    config = AugmentationConfig(**{**vars(STILL), kind: strength})
    images = pictures()
    changed = augment(images, draws(6), config)
    assert (changed - images).abs().max() > 10
    assert changed.min() >= 0 and changed.max() <= 255


def test_a_picture_does_not_depend_on_its_batch() -> None:
    images, numbers, config = pictures(), draws(6), AugmentationConfig()
    whole = augment(images, numbers, config)
    parts = torch.cat([augment(images[:2], numbers[:2], config), augment(images[2:], numbers[2:], config)])
    torch.testing.assert_close(whole, parts)


def test_rotation_keeps_angles_in_oblong_pictures() -> None:
    # A centred square stays a square of the same area under rotation by 90°, whatever the picture's shape.
    image = torch.full((1, 3, 40, 20), 255, dtype=torch.uint8)
    image[:, :, 16:24, 6:14] = 0
    config = AugmentationConfig(**{**vars(STILL), "rotate": 90.0})
    turned = augment(image, torch.tensor([[0.5] * 4 + [1.0] + [0.5] * 6]), config)
    torch.testing.assert_close(turned, image.float(), atol=2.0, rtol=0)


@pytest.mark.parametrize("wrong", [{"flip": 2}, {"rotate": -1}, {"erase": -0.1}])
def test_impossible_strengths(wrong: dict[str, float]) -> None:
    with pytest.raises(EncoderError):
        AugmentationConfig(**wrong)
