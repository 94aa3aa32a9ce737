"""Multi-label retrieval against loops over every (item, set of its classes)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pipelines.evaluate.multilabel import evaluate_multilabel
from pipelines.evaluate.settings import MultiLabelSettings, RetrievalSettings

from . import slow_metrics as slow
from .random_sets import TAXONOMY, random_embedded, slow_ranking


@pytest.mark.parametrize("classes", [True, False])
def test_equals_the_slow_evaluation(classes: bool) -> None:
    embedded = random_embedded(0, 26, classes=classes)
    result = evaluate_multilabel(embedded, MultiLabelSettings(sizes=(2, 3, 4)), RetrievalSettings(ks=(4,)))
    assert list(result) == [("print", 2), ("print", 3)]  # nobody carries four; the other attributes are single-label
    n = TAXONOMY.position("print")
    span = TAXONOMY.span(n)
    carried = [{m for m in range(span.start, span.stop) if row[m]} for row in embedded.carried]
    for (_, size), part in result.items():
        queries = [
            (item, set(classes))
            for item in range(len(embedded))
            for classes in itertools.combinations(sorted(carried[item]), size)
        ]
        assert part.available == len(part.scores) == len(queries) > 0
        assert part.scores.item.tolist() == [item for item, _ in queries]
        for q, (item, wanted) in enumerate(queries):
            assert {int(m) + span.start for m in np.flatnonzero(part.condition[q])} == wanted
            others = [other for other in range(len(embedded)) if other != item and embedded.known[other, n]]
            hits = [wanted <= carried[other] for other in slow_ranking(embedded, n, item, wanted, others)]
            assert part.scores.values["MAP@all"][q] == pytest.approx(slow.average_precision(hits))
            assert part.scores.values["MAP@4"][q] == pytest.approx(slow.average_precision(hits, 4, "min"))
            assert part.scores.relevant[q] == sum(hits)


def test_a_sample_is_of_the_queries_there_are() -> None:
    embedded = random_embedded(1, 60)
    whole = evaluate_multilabel(embedded)["print", 2]
    some = evaluate_multilabel(embedded, MultiLabelSettings(max_queries=15))["print", 2]
    assert len(some.scores) == 15 and some.available == whole.available == len(whole.scores)
    every = {(int(i), c.tobytes()): s for i, c, s in zip(whole.scores.item, whole.condition, whole.scores.values["MAP@all"], strict=True)}  # fmt: skip  # noqa: E501
    for item, condition, value in zip(some.scores.item, some.condition, some.scores.values["MAP@all"], strict=True):
        assert every[int(item), condition.tobytes()] == value
