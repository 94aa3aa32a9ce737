"""The study of γ against a literal evaluation at each γ."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from model.taxonomy import Attribute, Taxonomy
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.roles import ROLES
from pipelines.evaluate.sensitivity import Sensitivity, at_threshold, evaluate_sensitivity
from pipelines.evaluate.settings import RetrievalSettings

from . import slow_metrics as slow
from .random_sets import TAXONOMY, random_embedded, slow_retrieval

GRID = (0.9, 0.1, 0.5, 0.97)
OWN = 0.6


def predicted(probabilities: np.ndarray, taxonomy: Taxonomy, threshold: float) -> np.ndarray:
    """Design 2, literally: the classes above γ, the best alone where there is none or where there can be one only."""
    result = np.zeros(probabilities.shape, bool)
    for row, chosen in zip(probabilities, result, strict=True):
        for n, attribute in enumerate(taxonomy.attributes):
            span = range(taxonomy.span(n).start, taxonomy.span(n).stop)
            above = [m for m in span if row[m] > threshold] if attribute.multi_label else []
            chosen[above or [max(span, key=lambda m: row[m])]] = True
    return result


def whole(seed: int, items: int, *, classes: bool = True, taxonomy: Taxonomy = TAXONOMY) -> Embedded:
    """A random set whose predictions are of its probabilities, with an embedding of every class."""
    base = random_embedded(seed, items, classes=False, taxonomy=taxonomy)
    pair_item, pair_class = np.ones_like(base.carried).nonzero()
    vectors = np.random.default_rng(seed).integers(-2, 3, (len(pair_item), 4)) / 4
    return dataclasses.replace(
        base,
        predicted=predicted(base.probabilities, taxonomy, OWN),
        pair_item=pair_item,
        pair_class=pair_class,
        class_embeddings=vectors.astype(np.float32) if classes else None,
    )


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize(
    "chosen",
    [
        RetrievalSettings(),
        RetrievalSettings(relevance="exact", zero="skip"),
        RetrievalSettings(classes="given", roles="split"),
    ],
    ids=["predicted", "exact, skipped", "given, split"],
)
def test_each_threshold_equals_an_evaluation_of_its_own(chosen: RetrievalSettings, classes: bool) -> None:
    embedded = whole(3, 30, classes=classes)
    roles = ROLES[chosen.roles](embedded)
    found = evaluate_sensitivity(embedded, evaluate_retrieval(embedded, chosen, roles), roles, OWN, GRID)
    assert found is not None and found.thresholds == tuple(sorted({OWN, *GRID})) and found.threshold == OWN
    assert list(found.maps) == ["print", "overall"]
    for t, threshold in enumerate(found.thresholds):
        alone = dataclasses.replace(embedded, predicted=predicted(embedded.probabilities, TAXONOMY, threshold))
        rows = slow_retrieval(alone, roles, chosen.relevance, chosen.classes)
        rows["overall"] = [row for part in rows.values() for row in part]
        for name, values in found.maps.items():
            counted = [hits for *_, hits in rows[name] if any(hits) or chosen.zero == "keep"]
            assert values[t] == pytest.approx(np.mean([slow.average_precision(hits) for hits in counted]))
    assert len(set(found.maps["print"])) > 3


def test_predictions_at_a_threshold() -> None:
    embedded = whole(0, 50)
    for threshold in (0.01, *GRID):
        chosen = at_threshold(embedded, threshold).predicted
        assert (chosen == predicted(embedded.probabilities, TAXONOMY, threshold)).all()


def test_the_threshold_is_nothing_to_a_system_that_does_not_put_classes_first() -> None:
    embedded = dataclasses.replace(whole(1, 20), class_first=False)
    roles = ROLES["leave-one-out"](embedded)
    result = evaluate_retrieval(embedded)
    found = evaluate_sensitivity(embedded, result, roles, OWN, GRID)
    assert found is not None and {len(set(values)) for values in found.maps.values()} == {1}
    assert found.maps["overall"][0] == result.overall.map
    other = evaluate_retrieval(at_threshold(embedded, 0.1))
    assert other.overall.map == result.overall.map


def test_without_a_multi_label_attribute_there_is_no_study() -> None:
    embedded = whole(0, 10, taxonomy=Taxonomy((Attribute("length", ("short", "long")),)))
    roles = ROLES["leave-one-out"](embedded)
    assert evaluate_sensitivity(embedded, evaluate_retrieval(embedded), roles, OWN, GRID) is None


def test_nobody_at_all() -> None:
    base = random_embedded(0, 6, unknown=1.0)
    roles = ROLES["leave-one-out"](base)
    found = evaluate_sensitivity(base, evaluate_retrieval(base), roles, OWN, [0.5])
    assert found is not None
    assert found.to_json()["MAP@all"] == {"print": [None, None], "overall": [None, None]}


def test_the_table_names_every_threshold_and_marks_the_own() -> None:
    study = Sensitivity(0.5, (0.1, 0.5), {"print": (0.25, 0.5), "overall": (0.3, 0.4)}, {"print": 0.1, "overall": 0.2})
    table = study.table("m3net")
    assert table.columns == ("%", "", "γ = 0.1", "γ = 0.5")
    assert table.rows == (
        ("print", "random", "10.00", "10.00"),
        ("print", "m3net", "25.00", "50.00"),
        ("overall", "random", "20.00", "20.00"),
        ("overall", "m3net", "30.00", "40.00"),
    )
    assert table.bold == {(1, 3), (3, 3)} and "0.5" in table.notes[0]
