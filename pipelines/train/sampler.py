"""Sampler: which pictures make up each global batch, and who is anchor, positive and negative to whom.

A batch consists of *groups*, and a group never splits over workers: its images take all roles for one another, so
one decode serves many triplets. Everything is drawn from (seed, epoch, step, group), so any number of workers sees
the same global batch, and a resumed run continues as if it had never stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.taxonomy import Taxonomy

Balance = Literal["frequency", "value"]


@dataclass(frozen=True)
class Group:
    """Images that stay together.

    Attributes:
        items: G positions in the training set.
        seed: entropy for whatever else is drawn for this group (roles, augmentation).
    """

    items: NDArray[np.int64]
    seed: tuple[int, int, int, int]


class GroupSampler:
    """Draws groups of (anchor, positive) pairs: attribute, then value, then images.

    Args:
        carried: N×ΣM bool labels.
        known: N×A bool.
        taxonomy: gives the class indices their attributes.
        batch: images of a global batch; a multiple of ``group``.
        group: images of a group; even.
        balance: ``frequency``: every item is an anchor once in two epochs, in shuffled order, so values come as
            often as they occur; ``value``: an attribute, then two distinct values, drawn uniformly (ASEN++).
        seed: of the run.
    """

    def __init__(
        self,
        carried: NDArray[np.bool_],
        known: NDArray[np.bool_],
        taxonomy: Taxonomy,
        *,
        batch: int,
        group: int,
        balance: Balance = "frequency",
        seed: int = 0,
    ) -> None:
        assert group % 2 == 0 and batch % group == 0 and len(carried)
        self.batch, self.group, self.balance, self.seed = batch, group, balance, seed
        self.carried, self.known, self.taxonomy = carried, known, taxonomy
        self.members = [np.flatnonzero(column) for column in carried.T]
        # A value with one image cannot give an anchor and a positive: it is never drawn, so nothing loops for it.
        counts = np.array([len(members) for members in self.members])
        spans = [taxonomy.span(n) for n in range(len(taxonomy.attributes))]
        usable = [np.flatnonzero(counts[span] >= 2) + span.start for span in spans]
        self.usable = [classes for classes in usable if len(classes) >= 2]
        self.paired = counts >= 2
        self.epoch_of_order = -1
        self.order = np.empty(0, np.int64)

    @property
    def steps(self) -> int:
        """Steps of an epoch: as many images as there are items, the last batch filled up."""
        return -(-len(self.carried) // self.batch)

    def groups(self, epoch: int, step: int) -> list[Group]:
        """The groups of one global batch, in order; worker r of w takes groups r, r + w, …"""
        return [self._group(epoch, step, number) for number in range(self.batch // self.group)]

    def _group(self, epoch: int, step: int, number: int) -> Group:
        seed = (self.seed, epoch, step, number)
        rng = np.random.default_rng(seed)
        by_value = self.balance == "value" and self.usable
        items = self._by_value(rng) if by_value else self._by_frequency(rng, epoch, step, number)
        return Group(np.array(items, np.int64), seed)

    def _by_value(self, rng: np.random.Generator) -> list[int]:
        items: list[int] = []
        while len(items) < self.group:
            classes = self.usable[rng.integers(len(self.usable))]
            for value in rng.choice(classes, 2, replace=False):
                items.extend(rng.choice(self.members[value], 2, replace=False))
        return items[: self.group]

    def _by_frequency(self, rng: np.random.Generator, epoch: int, step: int, number: int) -> list[int]:
        # Half of a batch are anchors, so an epoch of N images passes over half of the permutation; two epochs
        # share one permutation, and every item is an anchor once in them.
        order = self._order(epoch // 2)
        anchors = self.group // 2
        start = ((epoch % 2) * self.steps + step) * (self.batch // 2) + number * anchors
        items: list[int] = []
        for position in range(start, start + anchors):
            anchor = int(order[position % len(order)])
            items += [anchor, self._partner(rng, anchor)]
        return items

    def _partner(self, rng: np.random.Generator, anchor: int) -> int:
        """Another item that shares a class with the anchor: attribute first, then value, then image."""
        classes = np.flatnonzero(self.carried[anchor] & self.paired)
        if not len(classes):
            return int(rng.integers(len(self.carried)))
        attributes = np.asarray(self.taxonomy.attribute_of_class)[classes]
        value = rng.choice(classes[attributes == rng.choice(np.unique(attributes))])
        members = self.members[value]
        other = int(members[rng.integers(len(members) - 1)])
        return other if other != anchor else int(members[-1])

    def _order(self, number: int) -> NDArray[np.int64]:
        if self.epoch_of_order != number:
            self.order = np.random.default_rng((self.seed, number)).permutation(len(self.carried))
            self.epoch_of_order = number
        return self.order


@dataclass(frozen=True)
class GroupRoles:
    """Roles within one group (see `model.objective.Roles`); rows count from the group's first image."""

    anchor: NDArray[np.int64]
    class_index: NDArray[np.int64]
    positive: NDArray[np.int64]
    negative: NDArray[np.int64]


def draw_roles(
    items: NDArray[np.int64],
    carried: NDArray[np.bool_],
    known: NDArray[np.bool_],
    attribute_of_class: NDArray[np.int64],
    rng: np.random.Generator,
) -> GroupRoles:
    """Every (image, carried class) of a group is an anchor; positive and negative are drawn from the group.

    Args:
        items: G positions in the training set; one may stand in a group twice, and is no positive of its own.
        carried: G×ΣM bool.
        known: G×A bool. A negative is labelled for the attribute and does not carry the class, always.
        attribute_of_class: ΣM.
        rng: of the group.
    """
    anchor, class_index = np.nonzero(carried)
    same = carried[:, class_index].T  # T×G: images with the anchor's class
    other = known[:, attribute_of_class[class_index]].T & ~same
    same &= items[None] != items[anchor, None]
    positive_image = _draw(same, rng)
    negative = _draw(other, rng)
    row_of = np.full(carried.shape, -1, np.int64)
    row_of[anchor, class_index] = np.arange(len(anchor))
    positive = np.where(positive_image >= 0, row_of[positive_image, class_index], -1)
    return GroupRoles(anchor, class_index, positive, negative)


def _draw(choices: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """One true column of each row, uniformly; −1 where there is none."""
    if not len(choices):
        return np.empty(0, np.int64)
    picked = np.where(choices, rng.random(choices.shape), -1.0).argmax(1)
    return np.where(choices.any(1), picked, -1)
