"""Overlap of nearest items, against a loop over all pairs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipelines.evaluate.generations.overlap import measure_overlap, overlap_table

from ..random_sets import TAXONOMY, random_embedded, slow_ranking


@pytest.mark.parametrize(("items", "classes"), [(30, True), (30, False), (6, True), (2, False)])
def test_overlap_is_that_of_literal_rankings(items: int, classes: bool) -> None:
    first = random_embedded(0, items, classes=classes)
    others = [
        dataclasses.replace(random_embedded(seed, items, classes=classes), item_ids=first.item_ids) for seed in (1, 2)
    ]
    others[1] = dataclasses.replace(others[1], class_first=False)
    overlap = measure_overlap([first, *others])
    assert overlap.k == min(10, items - 1)
    assert (overlap.same[0] == 1).all() and (overlap.classes[0] == 1).all()
    for s, other in enumerate(others, 1):
        for n in range(len(TAXONOMY.attributes)):
            span = TAXONOMY.span(n)
            equal = []
            for item in range(items):
                found = []
                for one in (first, other):
                    condition = (
                        set(np.flatnonzero(one.predicted[item, span]) + span.start) if one.class_first else set()
                    )
                    candidates = [place for place in range(items) if place != item]
                    found.append(set(slow_ranking(one, n, item, condition, candidates)[: overlap.k]))
                assert overlap.same[s, item, n] == pytest.approx(len(found[0] & found[1]) / overlap.k)
                equal.append((first.predicted[item, span] == other.predicted[item, span]).all())
            assert overlap.classes[s, n] == pytest.approx(np.mean(equal))


def test_the_table_has_a_row_for_each_other_generation() -> None:
    first = random_embedded(0, 40)
    other = dataclasses.replace(random_embedded(1, 40), item_ids=first.item_ids)
    overlap = measure_overlap([first, other, first])
    table = overlap_table(overlap, TAXONOMY.names, ["old", "new", "same"])
    assert [row[:2] for row in table.rows] == [
        (measure, name) for measure in ("overlap@10", "none of them", "same classes") for name in ("new", "same")
    ]
    assert table.rows[1][2:] == ("100.00",) * 4 and table.rows[3][2:] == ("0.00",) * 4
    assert float(table.rows[0][2]) == pytest.approx(100 * overlap.same[1, :, 0].mean(), abs=0.005)
