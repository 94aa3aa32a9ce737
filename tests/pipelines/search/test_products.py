"""Products are those of every row by itself in double precision, whatever stands in the rows."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pipelines.search.products import products


def every_half(width: int) -> np.ndarray:
    """Rows with each of the numbers that sixteen bits may mean, but NaN."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    return np.ascontiguousarray(np.repeat(halves[~np.isnan(halves)], width).reshape(-1, width))


@pytest.mark.parametrize("width", [1, 3, 64, 257, 1024])
def test_products_are_those_of_double_precision(width: int) -> None:
    dice = np.random.default_rng(width)
    rows = dice.standard_normal((500, width)).astype(np.float16)
    query = dice.standard_normal(width).astype(np.float32)
    which = dice.integers(0, 500, 333)
    expected = (rows.astype(np.float64) * query.astype(np.float64)).sum(1)
    scale = (np.abs(rows).astype(np.float64) * np.abs(query)).sum(1)
    found = products(rows, query)
    assert found.dtype == np.float32
    assert (np.abs(found - expected) <= 2**-24 * np.abs(expected) + 2**-50 * scale).all()  # rounded once, at the end
    np.testing.assert_array_equal(products(rows, query, which), found[which])
    assert products(rows, query, np.empty(0, np.int64)).shape == (0,)
    assert products(rows[:0], query).shape == (0,)


def test_each_number_of_sixteen_bits_is_read_right() -> None:
    rows = every_half(1)
    np.testing.assert_array_equal(products(rows, np.ones(1, np.float32)), rows[:, 0].astype(np.float32))


@pytest.mark.parametrize("place", [0, 17, 63])
def test_what_is_not_finite_stays_so(place: int) -> None:
    rows = np.ones((3, 64), np.float16)
    rows[0, place], rows[1, place] = np.nan, np.inf
    found = products(rows, np.ones(64, np.float32))
    assert np.isnan(found[0]) and np.isinf(found[1]) and found[2] == 64


def test_equal_rows_have_equal_products_wherever_they_stand() -> None:
    dice = np.random.default_rng(0)
    row, query = dice.standard_normal(1021).astype(np.float16), dice.standard_normal(1021).astype(np.float32)
    rows = dice.standard_normal((100, 1021)).astype(np.float16)
    rows[[3, 50, 98]] = row
    for start in range(4):  # another place in memory
        found = products(rows[start:], query)
        assert set(found[[50 - start, 98 - start]].tolist()) == {float(products(row[None].copy(), query)[0])}


def test_arrays_of_another_kind_or_order_will_do() -> None:
    dice = np.random.default_rng(0)
    rows, wide = dice.standard_normal((9, 64)).astype(np.float16), dice.standard_normal(128).astype(np.float32)
    expected = products(rows, wide[::2].copy())
    fixed = wide[::2].copy()
    fixed.flags.writeable = False
    which = np.arange(8, -1, -2)
    which.flags.writeable = False
    for query in (wide[::2], fixed, fixed.astype(np.float64)):
        np.testing.assert_array_equal(products(rows, query), expected)
        np.testing.assert_array_equal(products(rows, query, which), expected[::-2])
        np.testing.assert_array_equal(products(rows, query, which.astype(np.int32)), expected[::-2])


def test_no_row_has_no_product() -> None:
    rows, query = np.ones((3, 8), np.float16), np.ones(8, np.float32)
    np.testing.assert_array_equal(products(rows, query, np.array([-1, 2, -1])), [np.nan, 8, np.nan])


def test_where_nothing_can_be_written_it_is_compiled_each_time() -> None:
    no_folder = "import numba.core.caching as c; c.CompileResultCacheImpl._locator_classes = []"
    ask = "import pipelines.search.products as p, numpy as np; print(p.products(np.ones((2, 3), 'e'), np.ones(3, 'f')))"
    done = subprocess.run([sys.executable, "-c", f"{no_folder}; {ask}"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[3.", "3.]"]
