"""Partitions find what is near, say so when there is nothing to use, and what is learnt once serves again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from pipelines.search.partitions import NEIGHBOURS, SHORTLIST, Partitions, partition

COUNT, WIDTH = 6000, 96


def embeddings(seed: int, count: int = COUNT, width: int = WIDTH) -> np.ndarray:
    """On a surface of a dozen dimensions, bent, with a little noise; the same surface whatever the seed."""
    shape = np.random.default_rng(99)
    bend, spread = shape.standard_normal((12, 40)), shape.standard_normal((40, width))
    dice = np.random.default_rng(seed)
    vectors = np.tanh(dice.standard_normal((count, 12)) @ bend / 3) @ spread
    vectors += 0.1 * dice.standard_normal((count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def made(rows: np.ndarray, like: tuple[np.ndarray, Partitions] | None = None) -> tuple[np.ndarray, Partitions]:
    found = partition(rows, like)
    assert found is not None
    return found


def partition_of(partitions: Partitions) -> np.ndarray:
    return np.repeat(np.arange(len(partitions)), np.diff(partitions.starts))


def test_rows_are_sorted_by_the_nearest_centre() -> None:
    rows = embeddings(0)
    order, partitions = made(rows)
    assert sorted(order.tolist()) == list(range(COUNT))
    assert partitions.starts[0] == 0 and partitions.starts[-1] == COUNT and (np.diff(partitions.starts) >= 0).all()
    sketches = (torch.from_numpy(rows[order]).float() @ partitions.basis).half()
    np.testing.assert_array_equal(partitions.sketches, sketches.numpy())
    similarity = sketches.float() @ partitions.centres.T
    own = similarity[torch.arange(COUNT), torch.from_numpy(partition_of(partitions))]
    assert (own >= similarity.max(1).values - 1e-4).all()
    identity = partitions.basis.T @ partitions.basis
    torch.testing.assert_close(identity, torch.eye(identity.shape[0]), atol=1e-4, rtol=0)


def test_the_nearest_partitions_hold_the_neighbours_of_other_vectors() -> None:
    rows = embeddings(0)
    order, partitions = made(rows)
    found, looked = [], []
    for query in embeddings(1, 50).astype(np.float32):
        truth = np.argsort(-(rows.astype(np.float32) @ query), kind="stable")[:NEIGHBOURS]
        sketch = partitions.sketch(query)
        numbers = next(partitions.nearest(sketch, np.arange(COUNT), np.ones(COUNT, bool)))
        listed = numbers[np.argsort(-(partitions.sketches[numbers].astype(np.float32) @ sketch))[:SHORTLIST]]
        found.append(np.isin(truth, order[listed]).mean())
        looked.append(len(numbers))
    assert np.mean(found) >= 0.95
    assert np.mean(looked) < COUNT / 3  # it is worth it


def test_all_partitions_come_in_the_end_and_once_each() -> None:
    _, partitions = made(embeddings(0))
    sketch = partitions.sketch(embeddings(1, 1)[0].astype(np.float32))
    parts = list(partitions.nearest(sketch, np.arange(COUNT), np.ones(COUNT, bool)))
    assert sorted(np.concatenate(parts).tolist()) == list(range(COUNT))
    similarity = (partitions.centres @ torch.from_numpy(sketch)).numpy()
    own = partition_of(partitions)
    visited = [own[part] for part in parts]
    for nearer, farther in itertools.pairwise(visited):
        assert similarity[nearer].min() >= similarity[farther].max()
    assert len(np.unique(visited[0])) <= partitions.visits
    dice = np.random.default_rng(0)
    position, among = dice.permutation(2 * COUNT)[:COUNT], dice.random(2 * COUNT) < 0.3
    some = partitions.nearest(sketch, position, among)
    for part, own_part in zip(parts, some, strict=True):
        assert own_part.tolist() == [row for row in part.tolist() if among[position[row]]]


def test_the_same_rows_are_partitioned_alike() -> None:
    (order, one), (again, other) = made(embeddings(0)), made(embeddings(0))
    np.testing.assert_array_equal(order, again)
    assert torch.equal(one.centres, other.centres) and one.visits == other.visits


@pytest.mark.parametrize("kind", ["in all directions", "two alike"])
def test_vectors_without_structure_have_none(kind: str) -> None:
    dice = np.random.default_rng(0)
    rows = dice.standard_normal((COUNT, WIDTH))
    if kind == "two alike":
        rows = np.where(dice.random((COUNT, 1)) < 0.5, rows[0], rows[1])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = partition(rows.astype(np.float16))
    if kind == "two alike":  # thousands are equally near: any of them will do
        assert found is None or found[1].visits >= 1
    else:
        assert found is None


def test_what_was_learnt_serves_again() -> None:
    before = embeddings(0)
    order, learnt = made(before)
    after = before.copy()
    after[:500] = embeddings(1, 500)  # changed
    after = np.concatenate([after[100:], embeddings(2, 300)])  # gone and new
    again, partitions = made(after, (before[order], learnt))
    assert torch.equal(partitions.centres, learnt.centres) and partitions.visits == learnt.visits
    own, was = np.empty(len(after), int), np.empty(COUNT, int)
    own[again], was[order] = partition_of(partitions), partition_of(learnt)
    np.testing.assert_array_equal(own[400:-300], was[500:])  # what has not changed
    sketches = (torch.from_numpy(after[again]).float() @ learnt.basis).half()
    np.testing.assert_array_equal(partitions.sketches, sketches.numpy())
    similarity = sketches.float() @ learnt.centres.T
    nearest = similarity[torch.arange(len(after)), torch.from_numpy(partition_of(partitions))]
    assert (nearest >= similarity.max(1).values - 1e-4).all()


def test_what_changes_a_little_at_a_time_is_learnt_anew_in_the_end() -> None:
    rows, kept = embeddings(0), 0
    order, first = made(rows)
    learnt = first
    for step in range(5):  # a tenth of the rows each time
        before, rows = rows[order], rows.copy()
        rows[step * 600 : (step + 1) * 600] = embeddings(10 + step, 600)
        order, learnt = made(rows, (before, learnt))
        kept += torch.equal(learnt.centres, first.centres)
    assert kept == 3
    assert learnt.fresh == 600  # what the fourth time taught serves the fifth time


@pytest.mark.parametrize("rows", [embeddings(5), embeddings(0, 3 * COUNT), embeddings(0, width=64)])
def test_what_was_learnt_of_others_does_not(rows: np.ndarray) -> None:
    before = embeddings(0)
    order, learnt = made(before)
    _, partitions = made(rows, (before[order], learnt))
    _, alone = made(rows)
    assert torch.equal(partitions.centres, alone.centres)
