from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.taxonomy import Attribute, Taxonomy
from pipelines.train.sampler import Balance, GroupSampler, draw_roles

TAXONOMY = Taxonomy((Attribute("a", ("x", "y", "z")), Attribute("b", ("p", "q", "r", "s"), multi_label=True)))
OF_CLASS = np.array(TAXONOMY.attribute_of_class)


def labels(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    known = rng.random((count, 2)) < 0.8
    carried = np.zeros((count, 7), bool)
    carried[np.arange(count), rng.choice(3, count, p=[0.7, 0.25, 0.05])] = True
    carried[:, 3:] = rng.random((count, 4)) < 0.4
    carried &= known[:, OF_CLASS]
    known[:, 1] &= carried[:, 3:].any(1)
    return carried, known


def sampler(count: int = 50, balance: Balance = "frequency", seed: int = 0, **sizes: int) -> GroupSampler:
    carried, known = labels(count, 1)
    return GroupSampler(carried, known, TAXONOMY, balance=balance, seed=seed, **({"batch": 16, "group": 8} | sizes))


@pytest.mark.parametrize("balance", ["frequency", "value"])
def test_deterministic_by_seed_epoch_and_step(balance: Balance) -> None:
    first, second, other = sampler(balance=balance), sampler(balance=balance), sampler(balance=balance, seed=1)
    later = [group.items.tolist() for group in second.groups(3, 2)]  # asked for out of order
    assert [group.items.tolist() for group in first.groups(3, 2)] == later
    assert [group.items.tolist() for group in other.groups(3, 2)] != later
    assert [group.items.tolist() for group in first.groups(2, 2)] != later


@pytest.mark.parametrize("count", [50, 64, 17, 3])
def test_every_item_is_an_anchor_once_in_two_epochs(count: int) -> None:
    drawn = sampler(count)
    anchors = [
        int(item)
        for epoch in (4, 5)
        for step in range(drawn.steps)
        for group in drawn.groups(epoch, step)
        for item in group.items[::2]
    ]
    assert set(anchors) == set(range(count))
    times = np.bincount(anchors)
    assert times.max() - times.min() <= 1


def test_partners_share_a_class() -> None:
    drawn = sampler(60)
    paired = 0
    for step in range(drawn.steps):
        for group in drawn.groups(0, step):
            for anchor, partner in group.items.reshape(-1, 2):
                shared = (drawn.carried[anchor] & drawn.carried[partner]).any()
                possible = (drawn.carried[anchor] & drawn.paired).any()
                assert (shared and anchor != partner) or not possible
                paired += shared
    assert paired > 20


def test_values_are_balanced() -> None:
    drawn = sampler(400, "value", batch=64)
    groups = [group.items for step in range(drawn.steps) for group in drawn.groups(0, step)]
    share = drawn.carried[np.concatenate(groups)][:, :3].mean(0)
    natural = drawn.carried[:, :3].mean(0)
    assert share[2] > 2 * natural[2]


def test_a_value_with_one_image_is_never_an_endless_loop() -> None:
    carried = np.zeros((3, 7), bool)
    carried[[0, 1, 2], [0, 1, 2]] = True
    known = np.array([[True, False]] * 3)
    for balance in ("frequency", "value"):
        drawn = GroupSampler(carried, known, TAXONOMY, batch=8, group=4, balance=balance)  # type: ignore[arg-type]
        assert len(drawn.groups(0, 0)) == 2


@given(st.integers(0, 10**6), st.integers(1, 24))
@settings(max_examples=60, deadline=None)
def test_roles(seed: int, count: int) -> None:
    carried, known = labels(count, seed)
    drawn = np.random.default_rng(seed + 1).integers(0, max(1, count - count // 4), count)  # some stand there twice
    carried, known = carried[drawn], known[drawn]
    roles = draw_roles(drawn, carried, known, OF_CLASS, np.random.default_rng(seed))
    rows = list(
        zip(*(getattr(roles, f).tolist() for f in ("anchor", "class_index", "positive", "negative")), strict=True)
    )
    assert [(i, m) for i, m, _, _ in rows] == [(int(i), int(m)) for i, m in np.argwhere(carried)]
    for i, m, positive, negative in rows:
        partners = [j for j in range(count) if drawn[j] != drawn[i] and carried[j, m]]
        others = [j for j in range(count) if known[j, OF_CLASS[m]] and not carried[j, m]]
        assert (positive >= 0) == bool(partners) and (negative >= 0) == bool(others)
        if positive >= 0:
            assert rows[positive][0] in partners and rows[positive][1] == m
        if negative >= 0:
            assert negative in others
