"""Partitions find what is near, say so when there is nothing to use, and what is learnt once serves again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipelines.search.partitions import NEIGHBOURS, SHORTLIST, Partitions, _best, _nearest_centre, partition
from pipelines.search.products import products
from pipelines.search.sketches import along

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


def check_sketches(rows: np.ndarray, partitions: Partitions) -> None:
    """Each row's numbers are its own, and no centre is nearer than that of its partition."""
    own = along(rows, partitions.sketches.basis)
    np.testing.assert_array_equal(partitions.sketches.numbers, partitions.sketches.rounded(own))
    similarity = own.astype(np.float32) @ partitions.centres.astype(np.float32).T
    assert (similarity[np.arange(len(rows)), partition_of(partitions)] >= similarity.max(1) - 1e-4).all()


def nearest_partitions(partitions: Partitions, query: np.ndarray) -> np.ndarray:
    return np.argsort(-products(partitions.centres, query))


def test_rows_are_sorted_by_the_nearest_centre() -> None:
    rows = embeddings(0)
    order, partitions = made(rows)
    assert sorted(order.tolist()) == list(range(COUNT))
    assert partitions.starts[0] == 0 and partitions.starts[-1] == COUNT and (np.diff(partitions.starts) >= 0).all()
    check_sketches(rows[order], partitions)
    basis = torch.from_numpy(partitions.sketches.basis).float()
    torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis)), atol=2e-3, rtol=0)


def test_the_nearest_partitions_hold_the_neighbours_of_other_vectors() -> None:
    rows = embeddings(0)
    order, partitions = made(rows)
    every, found, looked = (np.arange(COUNT), np.ones(COUNT, bool)), [], []
    for query in embeddings(1, 50).astype(np.float32):
        truth = np.argsort(-(rows.astype(np.float32) @ query), kind="stable")[:NEIGHBOURS]
        own = partitions.sketches.coordinates(query)
        found.append(np.isin(truth, order[partitions.near(own, *every, SHORTLIST, shortlist=True)]).mean())
        looked.append(len(partitions.near(own, *every, SHORTLIST, shortlist=False)))
    assert np.mean(found) >= 0.95
    assert np.mean(looked) < COUNT / 3  # it is worth it


@pytest.mark.parametrize("share", [0.5, 0.2, 0.1, 0.05])
@pytest.mark.parametrize("alike", [False, True])
def test_the_nearest_of_a_part_are_found_too(share: float, alike: bool) -> None:
    """Of a part by chance, or of that which is on one side."""
    count, found = 20_000, []
    rows = embeddings(0, count)
    order, partitions = made(rows)
    rows, every, dice = rows[order].astype(np.float32), np.arange(count), np.random.default_rng(0)
    for query in embeddings(1, 50).astype(np.float32):
        number = rows @ rows[dice.integers(count)] if alike else dice.random(count)
        among = number >= np.quantile(number, 1 - share)
        truth = np.argsort(-np.where(among, rows @ query, -2), kind="stable")[:NEIGHBOURS]
        own = partitions.sketches.coordinates(query)
        found.append(np.isin(truth, partitions.near(own, every, among, SHORTLIST, shortlist=True)).mean())
    assert np.mean(found) >= 0.97


@pytest.fixture(scope="module")
def partitions() -> Partitions:
    return made(embeddings(0))[1]


@pytest.mark.parametrize("share", [1.0, 0.3, 0.05, 0.0])
@pytest.mark.parametrize("least", [1, 2, 100, 1500, COUNT])
def test_those_near_are_as_one_by_one(partitions: Partitions, least: int, share: float) -> None:
    dice = np.random.default_rng(0)
    position, among = dice.permutation(2 * COUNT)[:COUNT], dice.random(2 * COUNT) < share
    own = partitions.sketches.coordinates(embeddings(1, 1)[0].astype(np.float32))
    near, members, looked, bound = nearest_partitions(partitions, own), list[int](), list[bool](), 0
    for place, number in enumerate(near):
        if place >= bound and place * sum(looked) >= bound * len(looked):
            if len(members) >= least:
                break
            bound += partitions.visits
        rows = range(partitions.starts[number], partitions.starts[number + 1])
        looked += among[position[rows[-rows.start % 8 :: 8]]].tolist()
        members += [row for row in rows if among[position[row]]]
    assert partitions.near(own, position, among, least, shortlist=False).tolist() == members
    estimates = partitions.sketches.similarities(own, np.array(members, np.int64))
    best = partitions.near(own, position, among, least, shortlist=True)
    if not members:
        assert not len(best)
        return
    listed = np.isin(members, best)
    assert len(best) == len(set(best.tolist())) == listed.sum() == min(least, len(members))
    assert estimates[listed].min() >= estimates[~listed].max(initial=-2) - 1e-6


def test_the_same_rows_are_partitioned_alike() -> None:
    (order, one), (again, other) = made(embeddings(0)), made(embeddings(0))
    np.testing.assert_array_equal(order, again)
    assert np.array_equal(one.centres, other.centres) and one.visits == other.visits


@pytest.mark.parametrize("count", [50, 8192, 8193, 20_000])
def test_what_is_done_by_blocks_is_as_at_once(count: int) -> None:
    dice = np.random.default_rng(0)
    rows, own = dice.standard_normal((count, 16)).astype(np.float16), dice.permutation(count)[:40]
    every = torch.from_numpy(rows).float()
    similarity = every[own] @ every.T
    similarity[torch.arange(40), torch.from_numpy(own)] = -torch.inf
    best = similarity.topk(min(100, count - 1), 1).indices
    assert torch.equal(_best(every[own], rows, own, 100), best)
    centres = every[own]
    assert torch.equal(_nearest_centre(torch.from_numpy(rows), centres), (every @ centres.T).argmax(1))


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor has that is made meanwhile."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.untyped_storage().nbytes() // result.itemsize)
        return result


def test_no_more_than_a_block_is_compared_at_once() -> None:
    rows = embeddings(0, 40_000)
    with Largest() as largest:
        _, partitions = made(rows)
    blocks = (len(partitions), 200, WIDTH)  # rows by centres, by queries, and as they are
    assert largest.numbers <= max(8192 * width for width in blocks)


@pytest.mark.parametrize("kind", ["in all directions", "two alike"])
def test_vectors_without_structure_have_none(kind: str) -> None:
    dice = np.random.default_rng(0)
    rows = dice.standard_normal((COUNT, WIDTH))
    if kind == "two alike":
        rows = np.where(dice.random((COUNT, 1)) < 0.5, rows[0], rows[1])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = partition(rows.astype(np.float16))
    if kind == "two alike":  # thousands are equally near: any of them will do
        if found is not None:
            query = found[1].sketches.coordinates(rows[0].astype(np.float32))
            near = found[1].near(query, np.arange(COUNT), np.ones(COUNT, bool), 100, shortlist=True)
            assert len(set(near.tolist())) == 100
    else:
        assert found is None


def one_way(mean: float) -> np.ndarray:
    """On a surface of five dimensions, all off to one side by so many times its width."""
    dice = np.random.default_rng(0)
    vectors = np.tanh(dice.standard_normal((COUNT, 5)) @ dice.standard_normal((5, 40)) / 3)
    vectors = vectors @ dice.standard_normal((40, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    side = dice.standard_normal(WIDTH)
    vectors += mean * side / np.linalg.norm(side)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("mean", [1, 4, 8])
def test_vectors_that_all_point_one_way_have_structure_too(mean: float) -> None:
    rows = one_way(mean)
    order, learnt = made(rows)
    query = rows[0].astype(np.float32)
    estimates = learnt.sketches.similarities(learnt.sketches.coordinates(query), np.arange(COUNT))
    exact = rows[order].astype(np.float32) @ query
    assert np.abs(estimates - exact).max() <= 0.1 * exact.std()


def first_zero(rows: np.ndarray) -> np.ndarray:
    """As of CSN with fixed masks."""
    rows[:, : WIDTH // 8] = 0
    return rows


def last_zero(rows: np.ndarray) -> np.ndarray:
    rows[:, -WIDTH // 8 :] = 0
    return rows


def none_negative(rows: np.ndarray) -> np.ndarray:
    """As of a ReLU."""
    return np.maximum(rows, 0)


@pytest.mark.parametrize("shape", [np.asarray, first_zero, last_zero, none_negative])
def test_what_was_learnt_serves_again(shape: Callable[[np.ndarray], np.ndarray]) -> None:
    before = shape(embeddings(0))
    order, learnt = made(before)
    after = before.copy()
    after[:500] = shape(embeddings(1, 500))  # changed
    after = np.concatenate([after[100:], shape(embeddings(2, 300))])  # gone and new
    again, partitions = made(after, (before[order], learnt))
    assert np.array_equal(partitions.centres, learnt.centres) and partitions.visits == learnt.visits
    own, was = np.empty(len(after), int), np.empty(COUNT, int)
    own[again], was[order] = partition_of(partitions), partition_of(learnt)
    np.testing.assert_array_equal(own[400:-300], was[500:])  # what has not changed
    check_sketches(after[again], partitions)


def test_what_changes_a_little_at_a_time_is_learnt_anew_in_the_end() -> None:
    rows, kept = embeddings(0), 0
    order, first = made(rows)
    learnt = first
    for step in range(5):  # a tenth of the rows each time
        before, rows = rows[order], rows.copy()
        rows[step * 600 : (step + 1) * 600] = embeddings(10 + step, 600)
        order, learnt = made(rows, (before, learnt))
        kept += np.array_equal(learnt.centres, first.centres)
    assert kept == 3
    assert learnt.fresh == 600  # what the fourth time taught serves the fifth time


@pytest.mark.parametrize(("moved", "again"), [(60, True), (70, False)])
def test_it_is_learnt_anew_where_many_lie_beyond_what_it_was_learnt_of(moved: int, again: bool) -> None:
    before = one_way(4)
    order, learnt = made(before)
    after = before.copy()
    after[:moved] = one_way(0)[:moved]
    _, partitions = made(after, (before[order], learnt))
    assert np.array_equal(partitions.centres, learnt.centres) == again


@pytest.mark.parametrize("rows", [embeddings(5), embeddings(0, 3 * COUNT), embeddings(0, width=64)])
def test_what_was_learnt_of_others_does_not(rows: np.ndarray) -> None:
    before = embeddings(0)
    order, learnt = made(before)
    _, partitions = made(rows, (before[order], learnt))
    _, alone = made(rows)
    assert np.array_equal(partitions.centres, alone.centres)
