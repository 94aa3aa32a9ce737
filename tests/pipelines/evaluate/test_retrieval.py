"""Retrieval: every setting against the slow evaluation; roles; hand-made cases."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checkpoint import Checkpoint
from model.taxonomy import Attribute, Taxonomy
from pipelines.data.item_store import ItemStore
from pipelines.data.manifest import Manifest
from pipelines.errors import DuetError
from pipelines.evaluate import chunks, ordering, roles
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.retrieval import AttributeQueries, evaluate_retrieval
from pipelines.evaluate.scores import CURVE, NEAREST
from pipelines.evaluate.settings import RetrievalSettings

from . import slow_metrics as slow
from .random_sets import random_embedded, slow_retrieval

EVERY = list(itertools.product(("class", "any", "exact"), ("predicted", "given"), ("leave-one-out", "split")))


def check(embedded: Embedded, chosen: RetrievalSettings) -> None:
    """All scores equal those of the slow evaluation, query by query."""
    result = evaluate_retrieval(embedded, chosen)
    expected = slow_retrieval(embedded, roles.ROLES[chosen.roles](embedded), chosen.relevance, chosen.classes)
    assert list(result.attributes) == list(expected)
    for name, scores in result.attributes.items():
        rows = expected[name]
        assert scores.item.tolist() == [item for item, _, _ in rows]
        assert scores.class_index.tolist() == [m for _, m, _ in rows]
        assert scores.gallery.tolist() == [len(hits) for _, _, hits in rows]
        assert scores.relevant.tolist() == [sum(hits) for _, _, hits in rows]
        assert scores.values["MAP@all"] == pytest.approx([slow.average_precision(hits) for *_, hits in rows])
        for k in chosen.ks:
            at = [slow.average_precision(hits, k, chosen.denominator) for *_, hits in rows]
            assert scores.values[f"MAP@{k}"] == pytest.approx(at)
            assert scores.values[f"Recall@{k}"] == pytest.approx([slow.recall(hits, k) for *_, hits in rows])
        for place, k in enumerate(CURVE):
            at = [slow.average_precision(hits, k, chosen.denominator) for *_, hits in rows]
            assert scores.curves["MAP"][:, place] == pytest.approx(at)
            assert scores.curves["Recall"][:, place] == pytest.approx([slow.recall(hits, k) for *_, hits in rows])


@pytest.mark.parametrize(("relevance", "classes", "role"), EVERY)
def test_equals_the_slow_evaluation(relevance: str, classes: str, role: str) -> None:
    chosen = RetrievalSettings(relevance=relevance, classes=classes, roles=role, ks=(1, 5))
    for seed in range(2):
        check(random_embedded(seed, 24), chosen)
    check(random_embedded(7, 20, classes=False), chosen)
    check(dataclasses.replace(random_embedded(8, 20, classes=False), class_first=False, slack=1), chosen)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 12),
    st.sampled_from(EVERY),
    st.booleans(),
    st.sampled_from(["hits", "min", "all"]),
)
def test_equals_the_slow_evaluation_on_small_sets(
    seed: int, items: int, every: tuple[str, str, str], classes: bool, denominator: str
) -> None:
    relevance, protocol, role = every
    chosen = RetrievalSettings(relevance=relevance, classes=protocol, roles=role, ks=(2,), denominator=denominator)
    check(random_embedded(seed, items, classes=classes, unknown=0.4), chosen)


@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_blocks_and_threads_change_nothing(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = random_embedded(1, 40)
    whole = evaluate_retrieval(embedded)
    monkeypatch.setattr(chunks, "_PAIRS", 500)  # four queries or more
    monkeypatch.setattr(ordering, "_BLOCK", 100)  # about 3
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    pieces = evaluate_retrieval(embedded)
    for name, scores in whole.attributes.items():
        assert (scores.values["MAP@all"] == pieces.attributes[name].values["MAP@all"]).all()
        assert (scores.item == pieces.attributes[name].item).all()
        assert (scores.nearest == pieces.attributes[name].nearest).all()


@pytest.mark.parametrize("classes", ["predicted", "given"])
def test_hits_are_the_relevance_of_the_ranking(classes: str) -> None:
    embedded = random_embedded(3, 40)
    chosen = RetrievalSettings(classes=classes)
    queries = AttributeQueries(embedded, 1, chosen, roles.leave_one_out(embedded))  # several queries of an item
    rows = np.arange(3, len(queries) - 3)
    ranked = queries.rank(rows)
    hits, first = queries.hits(rows)
    assert (hits == np.take_along_axis(queries.relevance(rows), ranked, axis=1)).all()
    assert (first == ranked[:, :NEAREST]).all()


def one_attribute(vectors: list[list[float]], labels: list[int], predicted: list[int], classes: int = 2) -> Embedded:
    """Items a, b, c, … of one single-label attribute; class embeddings equal attribute embeddings."""
    count = len(vectors)
    taxonomy = Taxonomy((Attribute("a", tuple(f"c{m}" for m in range(classes))),))
    carried, guessed = np.eye(classes, dtype=bool)[labels], np.eye(classes, dtype=bool)[predicted]
    values = np.array(vectors, np.float32)
    pair_item, pair_class = (carried | guessed).nonzero()
    return Embedded(
        [chr(ord("a") + item) for item in range(count)], values[:, None], guessed.astype(np.float32), guessed,
        pair_item, pair_class, values[pair_item], carried, np.ones((count, 1), bool), taxonomy,
    )  # fmt: skip


def test_the_predicted_class_comes_before_the_similarity() -> None:
    # a asks; c is nearer than b, but only b is predicted to be of a's class: with class embeddings or without.
    embedded = one_attribute([[1, 0], [0, 1], [1, 0]], labels=[0, 0, 1], predicted=[0, 0, 1])
    assert evaluate_retrieval(embedded).attributes["a"].values["MAP@all"][0] == 1.0
    without = dataclasses.replace(embedded, class_embeddings=None)
    assert evaluate_retrieval(without).attributes["a"].values["MAP@all"][0] == 1.0


def test_a_wrong_prediction_of_the_query_costs_it_and_a_given_class_does_not() -> None:
    embedded = one_attribute([[1, 0], [0, 1], [1, 0]], labels=[0, 0, 1], predicted=[1, 0, 1])
    assert evaluate_retrieval(embedded).attributes["a"].values["MAP@all"][0] == 0.5
    given_class = evaluate_retrieval(embedded, RetrievalSettings(classes="given"))
    assert given_class.attributes["a"].values["MAP@all"][0] == 1.0


def test_ties_go_to_the_smaller_id() -> None:
    embedded = one_attribute([[1, 0]] * 4, labels=[0, 1, 0, 1], predicted=[0] * 4)
    # a: b c d -> miss hit miss; b: a c d -> miss miss hit; c: a b d; d: a b c
    assert evaluate_retrieval(embedded).attributes["a"].values["MAP@all"].tolist() == pytest.approx(
        [1 / 2, 1 / 3, 1, 1 / 2]
    )


def test_zero_relevant_is_kept_or_skipped_and_counted() -> None:
    embedded = one_attribute([[1, 0]] * 3, labels=[0, 0, 1], predicted=[0] * 3)
    keep, skip = (evaluate_retrieval(embedded, RetrievalSettings(zero=zero)).overall for zero in ("keep", "skip"))
    assert (keep.queries, keep.without_relevant) == (skip.queries, skip.without_relevant) == (3, 1)
    assert keep.values["MAP@all"] == pytest.approx(2 / 3) and skip.values["MAP@all"] == pytest.approx(1)


def test_overall_is_by_query_and_macro_by_attribute() -> None:
    result = evaluate_retrieval(random_embedded(3, 40, unknown=0.5))
    every = np.concatenate([scores.values["MAP@all"] for scores in result.attributes.values()])
    assert result.overall.values["MAP@all"] == pytest.approx(every.mean())
    parts = [summary.values["MAP@all"] for summary in result.summaries.values()]
    assert result.macro.values["MAP@all"] == pytest.approx(np.mean(parts))
    for name in ("MAP", "Recall"):
        curve = np.concatenate([scores.curves[name] for scores in result.attributes.values()])
        assert result.overall.curves[name] == pytest.approx(curve.mean(0))
        of_parts = [summary.curves[name] for summary in result.summaries.values()]
        assert result.macro.curves[name] == pytest.approx(np.mean(of_parts, axis=0))
    assert result.overall.queries == result.macro.queries == len(every)


def test_an_attribute_that_nobody_is_labelled_for_has_no_say() -> None:
    embedded = random_embedded(4, 12, unknown=0)
    known = embedded.known.copy()
    known[:, 2] = False
    carried = embedded.carried & known[:, list(embedded.taxonomy.attribute_of_class)]
    result = evaluate_retrieval(dataclasses.replace(embedded, known=known, carried=carried))
    assert result.summaries["length"].queries == 0 and np.isnan(result.summaries["length"].values["MAP@all"])
    parts = [result.summaries[name].values["MAP@all"] for name in ("collar", "print")]
    assert result.macro.values["MAP@all"] == pytest.approx(np.mean(parts))
    assert np.isfinite(result.overall.values["MAP@all"])


def test_nobody_at_all() -> None:
    result = evaluate_retrieval(random_embedded(0, 6, unknown=1.0))
    assert result.overall.queries == 0 and np.isnan(result.overall.values["MAP@all"])


def test_split_gives_a_query_to_about_four_candidates_and_never_both() -> None:
    chosen = roles.split(random_embedded(0, 2000))
    assert (chosen.query != chosen.gallery).all()
    assert 0.17 < chosen.query.mean() < 0.23


def test_own_query_and_candidate_lists() -> None:
    embedded = random_embedded(5, 20)
    query, candidate = embedded.known.copy(), embedded.known.copy()
    query[10:], candidate[5:10] = False, False
    lists = roles.Roles(query, candidate)
    expected = slow_retrieval(embedded, lists, "class", "predicted")
    for name, scores in evaluate_retrieval(embedded, roles=lists).attributes.items():
        assert scores.values["MAP@all"] == pytest.approx([slow.average_precision(hits) for *_, hits in expected[name]])


def test_random_vectors_score_about_chance() -> None:
    result = evaluate_retrieval(random_embedded(0, 400, width=16, unknown=0))
    for name in ("MAP@all", "Recall@100"):
        assert result.overall.values[name] == pytest.approx(result.overall.chance[name], rel=0.05)
    curves = result.overall.curves  # of the default K, the curve has the same figures
    for place, k in enumerate(CURVE):
        for name in ("MAP", "Recall"):
            if f"{name}@{k}" in result.overall.values:
                assert curves[name][place] == result.overall.values[f"{name}@{k}"]
                assert curves[f"random {name}"][place] == result.overall.chance[f"{name}@{k}"]


@pytest.mark.parametrize("threads", [1, 3])
def test_given_classes_need_their_embeddings(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever thread finds it out: only the last item's are missing."""
    monkeypatch.setattr(chunks, "_PAIRS", 60)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    embedded = random_embedded(0, 10, unknown=0)
    keep = embedded.predicted[embedded.pair_item, embedded.pair_class]
    missed = int(embedded.pair_item[~keep].max())
    keep |= embedded.pair_item != missed
    assert embedded.class_embeddings is not None
    bare = dataclasses.replace(
        embedded, pair_item=embedded.pair_item[keep], pair_class=embedded.pair_class[keep],
        class_embeddings=embedded.class_embeddings[keep],
    )  # fmt: skip
    evaluate_retrieval(bare)
    with pytest.raises(DuetError, match="embedded without class"):
        evaluate_retrieval(bare, RetrievalSettings(classes="given"))


@pytest.mark.parametrize("relevance", ["class", "any", "exact"])
def test_an_item_labelled_only_with_classes_that_the_taxonomy_lacks_is_left_out(
    relevance: str, catalogue: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    kept = [
        dataclasses.replace(one, classes=tuple(name for name in one.classes if name not in ("blue", "dot")))
        for one in checkpoint.taxonomy.attributes
    ]
    manifest = Manifest.open([str(catalogue)])
    whole = ItemStore.open(manifest, checkpoint.taxonomy, split="test", cache=tmp_path)
    store = ItemStore.open(manifest, Taxonomy(tuple(kept)), split="test", cache=tmp_path)
    embedded = dataclasses.replace(
        random_embedded(0, len(store), taxonomy=store.taxonomy), carried=store.carried, known=store.known
    )
    bare = dataclasses.replace(embedded, class_embeddings=None)  # the pairs are of other labels
    result = evaluate_retrieval(bare, RetrievalSettings(relevance=relevance))
    for n, (name, scores) in enumerate(result.attributes.items()):
        labelled = np.flatnonzero(store.known[:, n])
        assert (len(labelled) < whole.known[:, n].sum()) == (name != "shape")
        assert set(scores.item) == set(labelled) and (scores.gallery == len(labelled) - 1).all()
