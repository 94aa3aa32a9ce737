"""Metrics: hand-computed cases, a naive loop, torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torchmetrics.functional import retrieval as oracle
from torchmetrics.retrieval import RetrievalMAP

from pipelines.evaluate import metrics

from . import slow_metrics as slow

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
    assert metrics.triplet_accuracy([0.5, 0.5, 0.1, 0.9], [0.4, 0.5, 0.2, 0.1]) == 0.5
    assert np.isnan(metrics.triplet_accuracy([], []))


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


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
def test_torchmetrics_agrees(density: float) -> None:
    rng = np.random.default_rng(round(density * 100))
    hits, k = rng.random((20, 30)) < density, 7
    scores = torch.arange(30, 0, -1).float()  # the order that our ranking settled: torchmetrics leaves ties open
    per_row = [torch.from_numpy(row) for row in hits]
    ours = metrics.average_precision(hits)
    assert ours == pytest.approx([float(oracle.retrieval_average_precision(scores, row)) for row in per_row])
    cut = metrics.average_precision(hits, k=k, denominator="hits")
    assert cut == pytest.approx([float(oracle.retrieval_average_precision(scores, row, top_k=k)) for row in per_row])
    assert metrics.recall(hits, k) == pytest.approx(
        [float(oracle.retrieval_recall(scores, row, top_k=k)) for row in per_row]
    )
    gains = hits * rng.integers(1, 4, hits.shape)
    wanted = [float(oracle.retrieval_normalized_dcg(scores, torch.from_numpy(row), top_k=k)) for row in gains]
    assert metrics.ndcg(gains, k) == pytest.approx(wanted)


@pytest.mark.parametrize(("zero", "action"), [("keep", "neg"), ("skip", "skip")])
def test_torchmetrics_agrees_on_queries_without_relevant(zero: str, action: str) -> None:
    hits = np.random.default_rng(0).random((25, 12)) < 0.08
    assert (hits.sum(1) == 0).any() and hits.any()
    indexes = torch.arange(25)[:, None].expand(25, 12).flatten()
    scores = torch.arange(12, 0, -1).float().repeat(25)
    expected = RetrievalMAP(empty_target_action=action)(scores, torch.from_numpy(hits).flatten(), indexes=indexes)
    assert metrics.mean(metrics.average_precision(hits), hits.sum(1), zero) == pytest.approx(float(expected))
