"""Metrics: hand-computed cases, a naive loop, torchmetrics."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics import retrieval
from torchmetrics.functional import retrieval as oracle

from pipelines.evaluate import metrics
from pipelines.evaluate.ordering import order

from . import slow_metrics as slow

near = partial(pytest.approx, rel=1e-5)  # torchmetrics counts in single precision
rankings = hnp.arrays(bool, st.tuples(st.integers(0, 6), st.integers(0, 12)))
ks = st.integers(1, 15)


def rows(*texts: str) -> np.ndarray:
    """'x.x' -> hit, miss, hit."""
    return np.array([[letter == "x" for letter in text] for text in texts])


def test_average_precision_by_hand() -> None:
    hits = rows("x.x.", "..x.", "....", "xxxx")
    assert metrics.average_precision(hits) == pytest.approx([(1 + 2 / 3) / 2, 1 / 3, 0, 1])
    # K = 2: one hit at rank 1 of the first row.
    assert metrics.average_precision(hits, k=2, denominator="hits") == pytest.approx([1, 0, 0, 1])
    assert metrics.average_precision(hits, k=2, denominator="min") == pytest.approx([1 / 2, 0, 0, 1])
    assert metrics.average_precision(hits, k=2, denominator="all") == pytest.approx([1 / 2, 0, 0, 1 / 2])


def test_the_papers_denominator_is_not_monotone() -> None:
    worse, better = rows("x....", "x..x.")
    at = {"k": 4, "denominator": "hits", "relevant": np.array([2])}
    assert metrics.average_precision(worse[None], **at)[0] == 1.0
    assert metrics.average_precision(better[None], **at)[0] < 1.0


def test_relevant_outside_a_cut_ranking_counts() -> None:
    whole = rows("x..x.x")
    cut, relevant = whole[:, :2], np.array([3])
    for denominator in ("hits", "min", "all"):
        assert metrics.average_precision(cut, k=2, denominator=denominator, relevant=relevant) == pytest.approx(
            metrics.average_precision(whole, k=2, denominator=denominator)
        )
    assert metrics.recall(cut, 2, relevant=relevant) == pytest.approx([1 / 3])


def test_recall_and_its_ceiling_by_hand() -> None:
    hits = rows("x.x.", "....", "xxxx")
    assert metrics.recall(hits, 2) == pytest.approx([1 / 2, 0, 1 / 2])
    assert metrics.recall_ceiling(np.array([2, 0, 4]), 2) == pytest.approx([1, 0, 1 / 2])


def test_ndcg_by_hand() -> None:
    gains = np.array([[0.5, 1.0, 0.0]])
    best = 1 + 0.5 / np.log2(3)
    assert metrics.ndcg(gains, 3) == pytest.approx([(0.5 + 1 / np.log2(3)) / best])
    assert metrics.ndcg(gains, 1) == pytest.approx([0.5])
    assert metrics.ndcg(np.zeros((1, 3)), 2) == pytest.approx([0])
    assert metrics.ndcg(gains[:, :1], 1, ideal=np.array([[1.0, 0.5]])) == pytest.approx([0.5])


def test_zero_keep_and_skip() -> None:
    values, relevant = np.array([1.0, 0.0, 0.5]), np.array([2, 0, 1])
    assert metrics.mean(values, relevant, "keep") == pytest.approx(0.5)
    assert metrics.mean(values, relevant, "skip") == pytest.approx(0.75)
    assert np.isnan(metrics.mean(np.zeros(2), np.zeros(2, int), "skip"))
    assert np.isnan(metrics.mean(np.zeros(0), np.zeros(0, int)))


def test_triplet_accuracy_is_strict() -> None:
    assert metrics.triplet_accuracy([0.5, 0.5, 0.1, 0.9], [0.4, 0.5, 0.2, 0.1]).tolist() == [1, 0, 0, 1]


def test_top_k_accuracy() -> None:
    assert metrics.top_k_accuracy(rows("..x", "x..", "..."), 2).tolist() == [0, 1, 0]


@settings(deadline=None)
@given(rankings, st.none() | ks, st.sampled_from(["hits", "min", "all"]))
def test_average_precision_equals_the_loop(hits: np.ndarray, k: int | None, denominator: str) -> None:
    expected = [slow.average_precision(list(row), k, denominator) for row in hits]
    assert metrics.average_precision(hits, k=k, denominator=denominator) == pytest.approx(expected)


@settings(deadline=None)
@given(rankings, ks)
def test_recall_equals_the_loop(hits: np.ndarray, k: int) -> None:
    assert metrics.recall(hits, k) == pytest.approx([slow.recall(list(row), k) for row in hits])
    assert (metrics.recall(hits, k) <= metrics.recall_ceiling(hits.sum(1), k) + 1e-12).all()


@settings(deadline=None)
@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(0, 4), st.integers(0, 9)), elements=st.sampled_from([0, 0.25, 0.5, 1])
    ),
    ks,
)
def test_ndcg_equals_the_loop(gains: np.ndarray, k: int) -> None:
    assert metrics.ndcg(gains, k) == pytest.approx([slow.ndcg(list(row), k) for row in gains])


@pytest.mark.parametrize("size", range(1, 13))
def test_torchmetrics_agrees(size: int) -> None:
    """200 galleries of each size: ties; nothing relevant, or nothing else; K beyond the gallery."""
    rng = np.random.default_rng(size)
    similarity = rng.integers(0, rng.integers(1, 6, (200, 1)), (200, size)).astype(np.float32)
    relevant = rng.random((200, size)) < rng.choice([0, 0.1, 0.5, 0.9, 1], (200, 1))
    gains = relevant * rng.integers(1, 4, relevant.shape)
    ranked = order(similarity)
    hits, ours = (np.take_along_axis(values, ranked, axis=1) for values in (relevant, gains))
    # It leaves the order of ties open, so ours is spelled out: by position. What scores 0 or less counts as not found.
    scores = torch.from_numpy(similarity * 64 - np.arange(size) + 64).float()
    if size > 3:
        assert (relevant.sum(1) == 0).any() and any(len(set(row)) < size for row in similarity.tolist())

    def theirs(function: Callable[..., torch.Tensor], targets: np.ndarray, k: int | None) -> np.ndarray:
        rows = zip(scores, torch.from_numpy(targets), strict=True)
        return np.array([float(function(own, row, top_k=k)) for own, row in rows])

    assert metrics.average_precision(hits) == near(theirs(oracle.retrieval_average_precision, relevant, None))
    for k in (1, size // 2 + 1, size + 2):
        cut = theirs(oracle.retrieval_average_precision, relevant, k)  # divides by the hits
        share = theirs(oracle.retrieval_recall, relevant, k)  # hits of all that are relevant
        total = relevant.sum(1)
        assert metrics.recall(hits, k) == near(share)
        assert metrics.average_precision(hits, k=k, denominator="hits") == near(cut)
        assert metrics.average_precision(hits, k=k, denominator="all") == near(cut * share)
        of_best = cut * share * total / np.maximum(np.minimum(total, k), 1)
        assert metrics.average_precision(hits, k=k, denominator="min") == near(of_best)
        assert metrics.ndcg(ours, k) == near(theirs(oracle.retrieval_normalized_dcg, gains, k))


def test_torchmetrics_agrees_on_ties_on_average() -> None:
    """NDCG there is the mean over the orders of what is equal: ours over all orders of the ids."""
    rng = np.random.default_rng(0)
    orders = np.array(list(itertools.permutations(range(5))))
    for _ in range(40):
        similarity, gains = rng.integers(1, 4, 5).astype(np.float32), rng.integers(0, 4, 5)
        ranked = np.take_along_axis(orders, order(similarity[orders]), axis=1)
        expected = oracle.retrieval_normalized_dcg(torch.from_numpy(similarity), torch.from_numpy(gains), top_k=3)
        assert metrics.ndcg(gains[ranked], 3).mean() == near(float(expected))


@pytest.mark.parametrize(("zero", "action"), [("keep", "neg"), ("skip", "skip")])
def test_torchmetrics_agrees_on_queries_without_relevant(zero: str, action: str) -> None:
    hits = np.random.default_rng(0).random((25, 12)) < 0.08
    assert (hits.sum(1) == 0).any() and hits.any()
    indexes = torch.arange(25)[:, None].expand(25, 12).flatten()
    scores = torch.arange(12, 0, -1).float().repeat(25)
    relevant = hits.sum(1)
    for name, k, ours in (
        ("MAP", None, metrics.average_precision(hits)),
        ("MAP", 5, metrics.average_precision(hits, k=5, denominator="hits")),
        ("Recall", 5, metrics.recall(hits, 5)),
        ("NormalizedDCG", 5, metrics.ndcg(hits * 1.0, 5)),
    ):
        whole = getattr(retrieval, f"Retrieval{name}")(empty_target_action=action, top_k=k)
        expected = whole(scores, torch.from_numpy(hits).flatten(), indexes=indexes)
        assert metrics.mean(ours, relevant, zero) == near(float(expected))


def test_nothing_to_rank() -> None:
    for shape in ((0, 4), (3, 0), (0, 0)):
        hits = np.zeros(shape, bool)
        for denominator in ("hits", "min", "all"):
            for k in (None, 1, 7):
                assert metrics.average_precision(hits, k=k, denominator=denominator).tolist() == [0.0] * shape[0]
        assert metrics.recall(hits, 3).tolist() == metrics.ndcg(hits * 1.0, 3).tolist() == [0.0] * shape[0]
        assert metrics.top_k_accuracy(hits, 3).tolist() == [0.0] * shape[0]


def test_the_ceiling_of_recall_is_the_best_of_all_rankings() -> None:
    for size in range(1, 7):
        placements = np.array(list(itertools.product((False, True), repeat=size)))
        for total in range(size + 1):
            hits = placements[placements.sum(1) == total]
            for k in (1, 2, 5, 9):
                best = metrics.recall(hits, k).max()
                assert metrics.recall_ceiling(np.array([total]), k) == pytest.approx([best])
    rng = np.random.default_rng(0)
    hits = rng.random((3000, 200)) < rng.random((3000, 1)) ** 3
    for k in (1, 10, 100):
        ceiling = metrics.recall_ceiling(hits.sum(1), k)
        assert ceiling == pytest.approx(metrics.recall(-np.sort(-hits.astype(np.int8), axis=1) > 0, k))
        assert (metrics.recall(hits, k) <= ceiling).all() and (ceiling < 1).any()
