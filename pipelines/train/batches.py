"""Batches: this worker's part of each global batch, decoded ahead in the background."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.objective import Counts, Roles
from model.preparation import ImagePreparation
from pipelines.data.item_store import ItemStore

from .augment import draw_augmentation
from .distributed import World
from .sampler import GroupRoles, GroupSampler, draw_roles

_AHEAD = 3  # batches decoded ahead of the one in training


@dataclass(frozen=True)
class Batch:
    """One worker's part of a global batch of B images.

    Attributes:
        images: uint8 B×3×H×W, not augmented yet.
        draws: B×11 random numbers for `augment`.
        carried: B×ΣM bool.
        known: B×A bool.
        roles: over these images.
        counts: of the whole global batch.
    """

    images: Tensor
    draws: Tensor
    carried: Tensor
    known: Tensor
    roles: Roles
    counts: Counts


class Batches:
    """Batches of a training set for one worker, by (epoch, step)."""

    def __init__(self, store: ItemStore, preparation: ImagePreparation, sampler: GroupSampler, world: World) -> None:
        self.store, self.preparation, self.sampler, self.world = store, preparation, sampler, world
        self.attribute_of_class = np.asarray(sampler.taxonomy.attribute_of_class)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """All batches of an epoch, in order."""
        with ThreadPoolExecutor(1, thread_name_prefix="duet-batches") as pool:
            waiting: list[Future[Batch]] = []
            for step in range(self.sampler.steps):
                waiting.append(pool.submit(self.batch, epoch, step))
                if len(waiting) > _AHEAD:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()

    def batch(self, epoch: int, step: int) -> Batch:
        """This worker's part of one global batch."""
        rows: list[GroupRoles] = []
        items, draws = [], []
        labels = anchors = triplets = offset = role_offset = 0
        for number, group in enumerate(self.sampler.groups(epoch, step)):
            rng = np.random.default_rng((*group.seed, 1))
            carried, known = self.store.carried[group.items], self.store.known[group.items]
            roles = draw_roles(group.items, carried, known, self.attribute_of_class, rng)
            # Every worker draws all roles, which is cheap, so that the denominators need no communication.
            labels += int(known.sum())
            anchors += int((roles.negative >= 0).sum())
            triplets += int(((roles.negative >= 0) & (roles.positive >= 0)).sum())
            if number % self.world.size != self.world.rank:
                continue
            items.append(group.items)
            draws.append(draw_augmentation(len(group.items), rng))
            rows.append(
                GroupRoles(
                    roles.anchor + offset,
                    roles.class_index,
                    np.where(roles.positive >= 0, roles.positive + role_offset, -1),
                    np.where(roles.negative >= 0, roles.negative + offset, -1),
                )
            )
            offset += len(group.items)
            role_offset += len(roles.anchor)
        chosen = np.concatenate(items)
        pictures = self.store.prepared(chosen.tolist(), self.preparation)
        fields = ("anchor", "class_index", "positive", "negative")
        return Batch(
            images=torch.from_numpy(pictures).permute(0, 3, 1, 2),
            draws=torch.from_numpy(np.concatenate(draws)),
            carried=torch.from_numpy(self.store.carried[chosen]),
            known=torch.from_numpy(self.store.known[chosen]),
            roles=Roles(*(torch.from_numpy(np.concatenate([getattr(row, f) for row in rows])) for f in fields)),
            counts=Counts(self.sampler.batch, labels, anchors, triplets),
        )
