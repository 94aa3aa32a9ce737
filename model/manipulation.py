"""Attribute manipulation on top of any attribute encoder (design 2 §5, ours, after FashionSearchNet-v2).

A *memory* M (ΣM×D) starts as the class means in attribute space and is then trained; the *global head* merges the
attribute embeddings, weighted by λ, into one vector. A manipulation replaces the changed attributes' vectors by
rows of the memory and searches with the result.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import TaxonomyError
from .prototypes import Prototypes
from .taxonomy import Taxonomy

_NOTHING = 1e-5  # of a vector's length, which is rounding


class Operation(StrEnum):
    """What a change does to an item's classes of one attribute."""

    REPLACE = "replace"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True)
class Change:
    """One change of one attribute.

    Args:
        attribute: position 0..A−1.
        operation: REPLACE puts ``to_class`` in the place of ``from_class`` (None: of all the item's classes); ADD
            adds ``to_class``; REMOVE takes ``from_class`` away.
        to_class: class index 0..ΣM−1; needed by REPLACE and ADD.
        from_class: class index; needed by REMOVE.
    """

    attribute: int
    operation: Operation
    to_class: int | None = None
    from_class: int | None = None

    def __post_init__(self) -> None:
        if self.operation is Operation.REMOVE:
            if self.from_class is None:
                raise TaxonomyError("a REMOVE names the class that goes: from_class")
        elif self.to_class is None:
            raise TaxonomyError(f"a {self.operation.name} names the class that comes: to_class")


def target_classes(carried: Tensor, changes: Sequence[Change], taxonomy: Taxonomy) -> Tensor:
    """The classes an item carries after the changes: ΣM bool -> ΣM bool. The input stays as it is."""
    target = carried.clone()
    for change in changes:
        if change.operation is Operation.REPLACE:
            if change.from_class is None:
                target[taxonomy.span(change.attribute)] = False
            else:
                target[change.from_class] = False
        elif change.operation is Operation.REMOVE:
            target[change.from_class] = False
        if change.operation is not Operation.REMOVE:
            target[change.to_class] = True
    return target


@dataclass(frozen=True)
class HeadConfig:
    """What of a system's head is particular; saved in its checkpoint.

    Args:
        kind: ``global`` (`GlobalHead`), ``concatenated`` (the same with W = 1 and nothing but the memory trained) or
            ``fusion`` (`FusionHead`).
        memory: whether the memory is trained after its start.
        loss: ``contrastive`` (ours) or ``soft_triplet`` (FashionSearchNet's L_G).
    """

    kind: Literal["global", "concatenated", "fusion"] = "global"
    memory: bool = True
    loss: Literal["contrastive", "soft_triplet"] = "contrastive"


class ManipulationHead(nn.Module, abc.ABC):
    """The space in which manipulation searches: items by `forward`, queries by `change`, then `forward`.

    Args:
        config: of its system.
        taxonomy: of the encoder.
        embedding_width: D of the attribute embeddings.
        width: r of the global embedding.
    """

    def __init__(self, config: HeadConfig, taxonomy: Taxonomy, embedding_width: int, width: int) -> None:
        super().__init__()
        self.config, self.taxonomy, self.width = config, taxonomy, width
        self.memory = nn.Parameter(torch.zeros(taxonomy.class_count, embedding_width), requires_grad=config.memory)

    @torch.no_grad()
    def start(self, prototypes: Prototypes) -> None:
        """Fill the memory with the class means."""
        self.memory.copy_(prototypes.attribute)

    @abc.abstractmethod
    def forward(self, attribute_embeddings: Tensor) -> Tensor:
        """B×A×D, L2-normalised or changed -> global embeddings B×r, L2-normalised."""

    @abc.abstractmethod
    def change(self, attribute_embeddings: Tensor, carried: Tensor, changes: Sequence[Change]) -> Tensor:
        """One query: A×D and its classes (ΣM bool) -> A×D as it would be after the changes."""

    @abc.abstractmethod
    def change_batch(self, attribute_embeddings: Tensor, target: Tensor, changed: Tensor) -> Tensor:
        """`change` for a batch whose target sets are known and not empty: B×A×D, ΣM bool of B, A bool of B."""


class GlobalHead(ManipulationHead):
    """F = [λ_1 f_1, …, λ_A f_A] W; a changed attribute's f is replaced by the memory's vector of its classes."""

    def __init__(self, config: HeadConfig, taxonomy: Taxonomy, embedding_width: int, width: int) -> None:
        attributes = len(taxonomy.attributes)
        merged = config.kind == "global"
        super().__init__(config, taxonomy, embedding_width, width if merged else attributes * embedding_width)
        self.weight = nn.Parameter(torch.ones(attributes), requires_grad=merged)  # λ
        self.project = nn.Linear(attributes * embedding_width, width, bias=False) if merged else nn.Identity()  # W

    @torch.no_grad()
    def start(self, prototypes: Prototypes) -> None:
        """See `ManipulationHead.start`; W starts orthogonal, so that it keeps angles at first."""
        super().start(prototypes)
        if isinstance(self.project, nn.Linear):
            nn.init.orthogonal_(self.project.weight)

    def forward(self, attribute_embeddings: Tensor) -> Tensor:
        """See `ManipulationHead.forward`."""
        weighted = attribute_embeddings * self.weight[:, None]
        return F.normalize(self.project(weighted.flatten(1)), dim=-1)

    def change(self, attribute_embeddings: Tensor, carried: Tensor, changes: Sequence[Change]) -> Tensor:
        """See `ManipulationHead.change`: the changed attributes' vectors are replaced.

        The new vector is the mean direction of the memory over the classes that the item has afterwards. Where that
        is none, or nothing else than before, REMOVEs take their classes' directions out of the item's own vector, all
        at once; zero where nothing else is in it.
        """
        target = target_classes(carried, changes, self.taxonomy)
        result = attribute_embeddings.clone()
        for position in sorted({change.attribute for change in changes}):
            span = self.taxonomy.span(position)
            chosen = target[span]
            memory = F.normalize(self.memory[span], dim=-1)
            if chosen.any() and not torch.equal(chosen, carried[span]):
                vector = memory[chosen].sum(0)
            else:
                gone = {
                    change.from_class - span.start
                    for change in changes
                    if change.attribute == position and change.from_class is not None
                    and change.operation is Operation.REMOVE
                }  # fmt: skip
                vector = _without(attribute_embeddings[position], memory[sorted(gone)])
            result[position] = F.normalize(vector, dim=-1)
        return result

    def change_batch(self, attribute_embeddings: Tensor, target: Tensor, changed: Tensor) -> Tensor:
        """See `ManipulationHead.change_batch`."""
        memory = F.normalize(self.memory, dim=-1)
        vectors = torch.stack(
            [target[:, self.taxonomy.span(n)].to(memory.dtype) @ memory[self.taxonomy.span(n)]
             for n in range(attribute_embeddings.shape[1])], 1
        )  # fmt: skip
        return torch.where(changed[..., None], F.normalize(vectors, dim=-1), attribute_embeddings)


def _without(vector: Tensor, directions: Tensor) -> Tensor:
    """D and k×D -> D, the part of the vector that is at right angles to all directions, whatever these are."""
    if not len(directions):
        return vector
    rest = vector - directions.T @ (torch.linalg.pinv(directions.T.double(), rtol=1e-6) @ vector.double()).to(vector)
    return rest if rest.norm() > _NOTHING * vector.norm() else torch.zeros_like(rest)


class FusionHead(ManipulationHead):
    """AMNet: x + FC(relu(FC [x; t M])), t the classes that come, minus those that go (ours) where none comes.

    There is one space, so every attribute's vector is x, before and after.
    """

    def __init__(self, config: HeadConfig, taxonomy: Taxonomy, embedding_width: int, width: int) -> None:
        super().__init__(config, taxonomy, embedding_width, embedding_width)
        self.fuse = nn.Sequential(
            nn.Linear(2 * embedding_width, embedding_width), nn.ReLU(), nn.Linear(embedding_width, embedding_width)
        )

    def forward(self, attribute_embeddings: Tensor) -> Tensor:
        """See `ManipulationHead.forward`."""
        return F.normalize(attribute_embeddings.mean(1), dim=-1)

    def change(self, attribute_embeddings: Tensor, carried: Tensor, changes: Sequence[Change]) -> Tensor:
        """See `ManipulationHead.change`."""
        target = target_classes(carried, changes, self.taxonomy)
        signs = torch.zeros(len(target), device=target.device)
        for position in {change.attribute for change in changes}:
            span = self.taxonomy.span(position)
            signs[span] = target[span].float() if target[span].any() else -carried[span].float()
        return self._fuse(attribute_embeddings[None], signs[None])[0]

    def change_batch(self, attribute_embeddings: Tensor, target: Tensor, changed: Tensor) -> Tensor:
        """See `ManipulationHead.change_batch`."""
        of_class = torch.tensor(self.taxonomy.attribute_of_class, device=target.device)
        return self._fuse(attribute_embeddings, (target & changed[:, of_class]).float())

    def _fuse(self, attribute_embeddings: Tensor, signs: Tensor) -> Tensor:
        """B×A×D and t, B×ΣM -> B×A×D."""
        x = F.normalize(attribute_embeddings.mean(1), dim=-1)
        told = signs.to(self.memory.dtype) @ F.normalize(self.memory, dim=-1)
        fused = F.normalize(x + self.fuse(torch.cat([x, told], 1)), dim=-1)
        return fused[:, None].expand_as(attribute_embeddings)


def build_head(config: HeadConfig, taxonomy: Taxonomy, embedding_width: int, width: int) -> ManipulationHead:
    """A new head; ``width`` matters to the ``global`` kind alone."""
    kind = FusionHead if config.kind == "fusion" else GlobalHead
    return kind(config, taxonomy, embedding_width, width)
