"""Garments as words."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.data.wardrobe import CLASSES, change_garment, sample_garment


@cache
def garments(count: int) -> list[dict[str, list[str]]]:
    return [sample_garment(np.random.default_rng((0, n))).labels() for n in range(count)]


@given(st.integers(0, 2**32))
def test_a_garment_has_one_class_of_each_attribute_and_some_details(seed: int) -> None:
    labels = sample_garment(np.random.default_rng(seed)).labels()
    assert list(labels) == list(CLASSES)
    for name, classes in labels.items():
        assert set(classes) <= set(CLASSES[name])
        assert classes == sorted(set(classes))
        assert len(classes) == 1 if name != "details" else 1 <= len(classes) <= 4


@given(st.integers(0, 2**32), st.sampled_from(list(CLASSES)))
def test_a_change_changes_one_attribute_by_one_step(seed: int, attribute: str) -> None:
    rng = np.random.default_rng(seed)
    garment = sample_garment(rng)
    before, after = garment.labels(), change_garment(garment, attribute, rng).labels()
    assert [name for name in CLASSES if before[name] != after[name]] == [attribute]
    gone, new = set(before[attribute]) - set(after[attribute]), set(after[attribute]) - set(before[attribute])
    assert len(gone) <= 1 and len(new) <= 1
    assert after[attribute] == sorted(after[attribute]) and after[attribute]


def test_all_three_changes_of_details_occur() -> None:
    rng = np.random.default_rng(0)
    garment = next(g for g in (sample_garment(rng) for _ in range(100)) if len(g.details) == 2)
    sizes = Counter(len(change_garment(garment, "details", rng).details) for _ in range(60))
    assert set(sizes) == {1, 2, 3}


def test_every_class_is_about_as_frequent_as_any_other() -> None:
    rows = garments(4000)
    for name, classes in CLASSES.items():
        counts = Counter(c for row in rows for c in row[name])
        mean = sum(counts.values()) / len(classes)
        assert all(0.85 * mean < counts[c] < 1.15 * mean for c in classes), (name, counts)


@pytest.mark.parametrize(("first", "second"), list(combinations([n for n in CLASSES if n != "details"], 2)))
def test_attributes_are_independent(first: str, second: str) -> None:
    rows = garments(4000)
    table = np.zeros((len(CLASSES[first]), len(CLASSES[second])))
    for row in rows:
        table[CLASSES[first].index(row[first][0]), CLASSES[second].index(row[second][0])] += 1
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    cramer = np.sqrt(((table - expected) ** 2 / expected).sum() / table.sum() / (min(table.shape) - 1))
    assert cramer < 0.08


def test_a_title_says_what_it_is() -> None:
    garment = sample_garment(np.random.default_rng(1))
    assert garment.category in garment.title() and garment.colour in garment.title().lower()
