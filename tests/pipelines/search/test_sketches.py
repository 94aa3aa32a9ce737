"""Sketches are what they say: whole steps along a few directions, whose products with a query are as one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.search.sketches import Sketches, along

COUNT, WIDTH = 10_000, 96  # more than are converted at once


def rows() -> np.ndarray:
    """Longer in some directions than in others, and off to one side."""
    dice = np.random.default_rng(0)
    return (dice.standard_normal((COUNT, WIDTH)) * np.arange(1, WIDTH + 1) ** -0.5 + 2).astype(np.float16)


def basis(width: int) -> np.ndarray:
    directions = np.linalg.qr(np.random.default_rng(width).standard_normal((WIDTH, width)))[0]
    return np.ascontiguousarray(directions.T.astype(np.float16))


@pytest.mark.parametrize("width", [1, 6, 24, 64])
def test_estimates_are_products_of_whole_steps(width: int) -> None:
    dice = np.random.default_rng(width)
    own = along(rows(), basis(width))
    exact = rows().astype(np.float64) @ basis(width).T.astype(np.float64)
    assert (np.abs(own - exact) <= 2**-10 * np.abs(exact) + 1e-4).all()
    sketches = Sketches.learn(basis(width), own)
    meant = sketches.middle + sketches.numbers * sketches.steps
    assert (np.abs(meant - own) <= 0.501 * sketches.steps + 1e-5).all()
    assert (sketches.steps <= np.ptp(own.astype(np.float32), 0) / 200).all() and not sketches.clipped
    query = dice.standard_normal(WIDTH).astype(np.float32)
    there = sketches.coordinates(query)
    np.testing.assert_allclose(there, basis(width).astype(np.float64) @ query, rtol=1e-5, atol=1e-5)
    which = np.append(dice.integers(0, COUNT, 500), -1)
    found = sketches.similarities(there, which)
    np.testing.assert_allclose(found[:-1], (meant.astype(np.float64) @ there)[which[:-1]], rtol=1e-4, atol=1e-4)
    assert np.isnan(found[-1])
    assert sketches.similarities(there, which[:0]).shape == (0,)
    some = sketches.take(which[:10])
    np.testing.assert_array_equal(some.similarities(there, np.arange(10)), found[:10])


def test_what_is_beyond_the_steps_is_at_the_last() -> None:
    sketches = Sketches.learn(basis(2), np.array([[1, -1], [0.5, 0]], np.float16))
    np.testing.assert_allclose(sketches.middle, [0.75, -0.5])
    assert sketches.numbers.tolist() == [[102, -102], [-102, 102]] and sketches.clipped == 0
    numbers = sketches.rounded(np.array([[2, -3], [0.75, -0.5], [0.75, 9]], np.float16))
    assert numbers.tolist() == [[127, -127], [0, 0], [0, 127]]
    assert replace(sketches, numbers=numbers).clipped == 2


def test_where_nothing_varies_all_are_in_the_middle() -> None:
    sketches = Sketches.learn(basis(2), np.full((3, 2), 0.5, np.float16))
    assert sketches.numbers.tolist() == [[0, 0]] * 3
    np.testing.assert_allclose(sketches.similarities(np.ones(2, np.float32), np.arange(3)), 1)


def test_a_row_that_is_not_finite_has_no_coordinates() -> None:
    some = rows()[:2].copy()
    some[1, 3] = np.nan
    assert np.isfinite(along(some, basis(4))).all() and not along(some, basis(4))[1].any()
