"""Small random cases for an objective: embeddings, labels of which some are missing, roles of which some are empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.encoder import AttributeOutput, Encoder
from model.heads import softmax_logits
from model.objective import Losses, Objective, Roles
from model.systems.m3net import M3Net
from tests.model.networks import TAXONOMY
from tests.model.test_objective import batch, counts_of, roles_of

COUNT = len(TAXONOMY.attributes)
_RANK = 4  # dimensions that are not zero: few, so that cosines are large either way and hinges are open and shut


@dataclass(frozen=True)
class Case:
    """What an objective reads of one batch, B images; float64 with gradients.

    Attributes:
        embeddings: B×A×D.
        scores: B×ΣM, of which an encoder's P are softmaxes or sigmoids.
        state: as the system's own.
        centres: ΣM×D, not normalised, float64 without gradients.
        seen: ΣM bool, classes that have a centre.
        carried: B×ΣM bool.
        known: B×A bool.
        roles: over the B images.
    """

    embeddings: Tensor
    scores: Tensor
    state: tuple[Tensor, ...]
    centres: Tensor
    seen: Tensor
    carried: Tensor
    known: Tensor
    roles: Roles

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """Everything with a gradient, once."""
        own = tuple(part for part in self.state if part is not self.scores)
        return (self.embeddings, self.scores, *own)


def random_case(net: Encoder, seed: int = 0, images: int = 10) -> Case:
    """The same one for all widths of a system: beyond a few dimensions there are zeros."""
    name, generator = net.config.system, torch.Generator().manual_seed(seed)
    branches = 2 if name == "asen_pp" else 1

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def vectors(*shape: int, width: int = net.width) -> Tensor:
        parts = [F.pad(random(*shape, _RANK), (0, width // branches - _RANK)) for _ in range(branches)]
        return torch.cat(parts, -1)

    _, carried, known = batch(images, seed)
    roles = roles_of(carried, known)
    for rows in (roles.positive, roles.negative):
        rows[torch.rand(len(rows), generator=generator) < 0.15] = -1
    embeddings, scores = vectors(images, COUNT).requires_grad_(), 2 * random(images, TAXONOMY.class_count)
    scores.requires_grad_()
    state: tuple[Tensor, ...] = ()
    if name == "csn":
        state = (vectors(images).requires_grad_(), vectors(COUNT).abs().requires_grad_())
    elif name == "agman":
        state = (random(images, COUNT).requires_grad_(),)
    elif name in ("fashionsearchnet", "posterior"):
        state = (scores,)
        if isinstance(net, M3Net) and net.has_classes:  # what class embeddings are made of: ψ and attention
            psi, attention = random(images, 6, net.backbone.channels), random(images, COUNT, 6).softmax(2)
            state = (psi.requires_grad_(), attention.requires_grad_(), scores)
    seen = torch.rand(TAXONOMY.class_count, generator=generator) < 0.8
    centres = vectors(TAXONOMY.class_count, width=net.class_width or net.width)
    return Case(embeddings, scores, state, centres, seen, carried, known, roles)


def losses_of(net: Encoder, objective: Objective, case: Case) -> Losses:
    """An objective's losses of a case, which it computes in float32."""
    objective.prototypes.average.copy_(case.centres)
    objective.prototypes.seen.copy_(case.seen)
    state = tuple(part.float() for part in case.state)
    output = AttributeOutput(case.embeddings.float(), softmax_logits(case.scores.float(), TAXONOMY), state)
    return objective(net, output, case.carried, case.known, case.roles, counts_of(case.known, case.roles))


def gradients(total: Tensor, leaves: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Of each leaf, zeros where there is none."""
    return torch.autograd.grad(total, leaves, materialize_grads=True)
