from __future__ import annotations

import pytest

from pipelines.data.wardrobe.generate import garment_of, split_of
from pipelines.demo.questions import Labels, questions

HITS = 8


@pytest.fixture(scope="module")
def catalogue() -> dict[str, Labels]:
    """The labels of the held-out garments of the demo's own wardrobe."""
    garments = {f"garment-{n:06d}": garment_of(n, 1) for n in range(4000) if split_of(n) == "test"}
    return {
        item: {name: frozenset(values) for name, values in garment.labels().items()}
        for item, garment in garments.items()
    }


def test_every_question_has_right_and_wrong_answers(catalogue: dict[str, Labels]) -> None:
    asked = questions(catalogue, HITS)
    for question in asked:
        others = [labels for item, labels in catalogue.items() if item != question.request.item_id]
        right = sum(question.right(labels) for labels in others)
        assert 0 < right < len(others), question.text
        assert question.request.page_size == HITS
    assert len({question.text for question in asked}) == len(asked)


def test_the_changed_garment_exists_and_is_not_the_query(catalogue: dict[str, Labels]) -> None:
    question = next(q for q in questions(catalogue, HITS) if q.request.manipulations)
    (change,) = question.request.manipulations
    query = catalogue[question.request.item_id or ""]
    assert change.to_class not in query[change.attribute]
    assert not question.right(query)
