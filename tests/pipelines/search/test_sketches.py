"""Sketches are what they say: whole steps along a few directions, whose products with a query are as one by one."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.search.sketches import Sketches, coordinates, in_steps, steps_for

COUNT, WIDTH = 10_000, 96  # more than are converted at once


def rows() -> np.ndarray:
    dice = np.random.default_rng(0)
    return (dice.standard_normal((COUNT, WIDTH)) * np.arange(1, WIDTH + 1) ** -0.5).astype(np.float16)


@pytest.mark.parametrize("width", [1, 6, 24, 64])
def test_estimates_are_products_of_the_steps(width: int) -> None:
    dice = np.random.default_rng(width)
    basis = np.linalg.qr(dice.standard_normal((WIDTH, width)))[0].T.astype(np.float16)
    own = coordinates(rows(), np.ascontiguousarray(basis))
    exact = rows().astype(np.float64) @ basis.T.astype(np.float64)
    assert (np.abs(own - exact) <= 2**-10 * np.abs(exact) + 1e-4).all()
    sketches = Sketches(np.ascontiguousarray(basis), steps_for(own), in_steps(own, steps_for(own)))
    assert (np.abs(sketches.numbers * sketches.steps - own) <= 0.501 * sketches.steps).all()
    query = dice.standard_normal(WIDTH).astype(np.float32)
    there = sketches.of(query)
    np.testing.assert_allclose(there, basis.astype(np.float64) @ query, rtol=1e-5, atol=1e-5)
    which = np.append(dice.integers(0, COUNT, 500), -1)
    expected = (sketches.numbers[which].astype(np.float64) * sketches.steps) @ there.astype(np.float64)
    found = sketches.similarities(there, which)
    np.testing.assert_allclose(found[:-1], expected[:-1], rtol=1e-4, atol=1e-4)
    assert np.isnan(found[-1])
    assert sketches.similarities(there, which[:0]).shape == (0,)
    some = sketches.of_rows(which[:10])
    np.testing.assert_array_equal(some.similarities(there, np.arange(10)), found[:10])


def test_what_is_beyond_the_steps_is_at_the_last() -> None:
    own = np.array([[1, -1], [0.5, 0.25]], np.float16)
    steps = steps_for(own)
    assert in_steps(own, steps).tolist() == [[127, -127], [64, 32]]
    assert in_steps(np.array([[2, -3]], np.float16), steps).tolist() == [[127, -127]]


def test_directions_in_which_nothing_varies_have_steps() -> None:
    own = np.zeros((3, 2), np.float16)
    assert in_steps(own, steps_for(own)).tolist() == [[0, 0]] * 3
