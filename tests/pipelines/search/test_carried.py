from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.search import carried as carried_module
from pipelines.search.carried import CarriedClasses

COUNT, CLASSES = 400, tuple(f"class {n}" for n in range(40))


def carried_classes() -> tuple[CarriedClasses, np.ndarray, np.ndarray]:
    """With what they are made of: which item carries what, N×k, and the probabilities."""
    dice = np.random.default_rng(0)
    carried, position = dice.random((COUNT, len(CLASSES))) < 0.1, dice.permutation(COUNT)
    probability = np.where(carried, dice.random(carried.shape, np.float32), np.float32(np.nan))
    rows = {
        "classes": [[CLASSES[code] for code in np.flatnonzero(carried[item])] for item in position],
        "probabilities": pa.array(
            [probability[item, carried[item]].tolist() for item in position], pa.list_(pa.float32())
        ),
    }
    return CarriedClasses.read(pa.table(rows), position, CLASSES), carried, probability


@pytest.fixture(autouse=True)
def _few_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried_module, "_MASKS", 16)


def test_who_carries_what_and_how_probably() -> None:
    found, carried, probability = carried_classes()
    items = np.random.default_rng(1).permutation(COUNT)[:90]
    for code in (*range(len(CLASSES)), *range(len(CLASSES))):  # those let go of, too
        np.testing.assert_array_equal(found.carry(code), carried[:, code])
        np.testing.assert_array_equal(found.probabilities(code, items), probability[items, code])
        assert found.number(code) == carried[:, code].sum()
    for item in range(COUNT):
        assert found.of(item) == {code: probability[item, code] for code in np.flatnonzero(carried[item]).tolist()}


def test_what_it_takes_does_not_grow_with_the_classes_asked_for() -> None:
    found, carried, _ = carried_classes()
    for code in range(len(CLASSES)):
        found.carry(code)
    assert list(found._masks) == list(range(24, 40))
    assert found.carry(24) is found.carry(24) and list(found._masks)[-1] == 24  # what is asked for stays
    arrays = [found.item, found.code, found.probability, *found._by_code]
    assert sum(array.nbytes for array in arrays) == 24 * carried.sum()
    kept = [value for value in vars(found).values() if isinstance(value, np.ndarray)]
    assert len(kept) == 3
