"""Re-ranking against a loop that sorts, and a case by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from model.taxonomy import Taxonomy
from pipelines.evaluate import chunks
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.reranking import evaluate_reranking, general_embeddings
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.roles import leave_one_out, split
from pipelines.evaluate.settings import RerankingSettings, RetrievalSettings

from . import slow_metrics as slow
from .random_sets import TAXONOMY, random_embedded, slow_ranking
from .test_manipulation import random_case

KS = (3, 8, 50)


def labels(embedded: Embedded, item: int, n: int) -> set[int]:
    span = embedded.taxonomy.span(n)
    return {m for m in range(span.start, span.stop) if embedded.carried[item, m]}


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("role", [leave_one_out, split])
def test_equals_a_loop(head: bool, role: object) -> None:
    embedded, _ = random_case(1, 30)
    if not head:
        embedded = dataclasses.replace(embedded, global_embeddings=None)
    roles = role(embedded)  # type: ignore[operator]
    chosen = RetrievalSettings(denominator="all")
    result = evaluate_reranking(embedded, RerankingSettings(ks=KS), chosen, roles)
    plain = evaluate_retrieval(embedded, chosen, roles)
    for n, name in enumerate(TAXONOMY.names):
        scores = result.attributes[name]
        for field in ("item", "class_index", "gallery", "relevant"):
            assert (getattr(scores, field) == getattr(plain.attributes[name], field)).all()
        predicted = [
            {m for m in np.flatnonzero(row) if TAXONOMY.attribute_of_class[m] == n} for row in embedded.predicted
        ]
        for q, (item, m) in enumerate(zip(scores.item.tolist(), scores.class_index.tolist(), strict=True)):
            others = [o for o in range(30) if o != item and roles.gallery[o, n] and embedded.known[o, n]]

            def near(other: int, item: int = item) -> float:
                if embedded.global_embeddings is not None:
                    return float(embedded.global_embeddings[item] @ embedded.global_embeddings[other])
                one, two = (embedded.attribute_embeddings[i].mean(0) for i in (item, other))
                return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))

            general = sorted(others, key=lambda other: (-near(other), embedded.item_ids[other]))
            for k in KS:
                after = slow_ranking(embedded, n, item, predicted[item], general[:k])
                for when, ranked in (("before", general[:k]), ("after", after)):
                    # What lies behind the first K counts in R alone.
                    hits = [m in labels(embedded, other, n) for other in [*ranked, *general[k:]]]
                    expected = slow.average_precision(hits, k, "all")
                    assert scores.values[f"MAP@{k} {when}"][q] == pytest.approx(expected)


def test_the_whole_gallery_reordered_is_attribute_retrieval() -> None:
    embedded = random_embedded(2, 40)
    chosen = RetrievalSettings(denominator="all")
    result = evaluate_reranking(embedded, RerankingSettings(ks=(1000,)), chosen)
    for name, scores in evaluate_retrieval(embedded, chosen).attributes.items():
        assert result.attributes[name].values["MAP@1000 after"] == pytest.approx(scores.values["MAP@all"])
        assert result.attributes[name].chance["MAP@1000 after"] == pytest.approx(scores.chance["MAP@all"])


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = random_embedded(1, 30)
    whole = evaluate_reranking(embedded).summaries
    monkeypatch.setattr(chunks, "_PAIRS", 100)
    assert evaluate_reranking(embedded).summaries == whole
    assert list(whole) == [*TAXONOMY.names]


def test_an_attribute_may_be_called_as_the_means_are() -> None:
    names = ("overall", "macro", "length")
    attributes = (dataclasses.replace(one, name=name) for one, name in zip(TAXONOMY.attributes, names, strict=True))
    embedded = random_embedded(1, 30)
    named = evaluate_reranking(dataclasses.replace(embedded, taxonomy=Taxonomy(tuple(attributes))))
    plain = evaluate_reranking(embedded)
    assert list(named.summaries.values()) == list(plain.summaries.values())
    assert named.overall == plain.overall and named.macro == plain.macro
    assert named.overall != named.summaries["overall"]


def test_general_embeddings_are_unit_vectors_and_nothing_stays_nothing() -> None:
    embedded = random_embedded(0, 20)
    vectors = embedded.attribute_embeddings.copy()
    vectors[3] = 0
    general = general_embeddings(dataclasses.replace(embedded, attribute_embeddings=vectors))
    lengths = np.linalg.norm(general, axis=1)
    assert lengths[3] == 0 and np.delete(lengths, 3)[lengths[np.arange(20) != 3] > 0] == pytest.approx(1)


def test_nobody_at_all() -> None:
    assert np.isnan(evaluate_reranking(random_embedded(0, 5, unknown=1.0)).overall.values["MAP@20 after"])
