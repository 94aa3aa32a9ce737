"""Attribute manipulation on top of any attribute encoder (design 2 §5, ours, after FashionSearchNet-v2).

A *memory* M (ΣM×D) starts as the class means in attribute space and is then trained; the *global head* merges the
attribute embeddings, weighted by λ, into one vector. A manipulation replaces the changed attributes' vectors by
rows of the memory and searches with the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import TaxonomyError
from .prototypes import Prototypes
from .taxonomy import Taxonomy


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


class GlobalHead(nn.Module):
    """Memory and global head.

    Args:
        taxonomy: of the encoder.
        width: D of the attribute embeddings.
        global_width: r of the global embedding.
    """

    def __init__(self, taxonomy: Taxonomy, width: int, global_width: int) -> None:
        super().__init__()
        self.taxonomy, self.width = taxonomy, global_width
        self.memory = nn.Parameter(torch.zeros(taxonomy.class_count, width))
        self.weight = nn.Parameter(torch.ones(len(taxonomy.attributes)))  # λ
        self.project = nn.Linear(len(taxonomy.attributes) * width, global_width, bias=False)  # W

    @torch.no_grad()
    def start(self, prototypes: Prototypes) -> None:
        """Fill the memory with the class means; W starts orthogonal, so that it keeps angles at first."""
        self.memory.copy_(prototypes.attribute)
        nn.init.orthogonal_(self.project.weight)

    def forward(self, attribute_embeddings: Tensor) -> Tensor:
        """B×A×D, L2-normalised -> global embeddings B×r, L2-normalised: F = [λ_1 f_1, …, λ_A f_A] W."""
        weighted = attribute_embeddings * self.weight[:, None]
        return F.normalize(self.project(weighted.flatten(1)), dim=-1)

    def change(self, attribute_embeddings: Tensor, carried: Tensor, changes: Sequence[Change]) -> Tensor:
        """One query: A×D and its classes (ΣM bool) -> A×D with the changed attributes' vectors replaced.

        The new vector is the mean direction of the memory over the classes that the item has afterwards. Where that
        is none, or nothing else than before, a REMOVE takes its class' direction out of the item's own vector.
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
                vector = attribute_embeddings[position]
                for change in changes:
                    if change.attribute == position and change.operation is Operation.REMOVE:
                        assert change.from_class is not None
                        gone = memory[change.from_class - span.start]
                        vector = vector - (vector @ gone) * gone
            result[position] = F.normalize(vector, dim=-1)
        return result

    def change_batch(self, attribute_embeddings: Tensor, target: Tensor, changed: Tensor) -> Tensor:
        """`change` for a batch whose target sets are known and not empty: B×A×D, ΣM bool of B, A bool of B."""
        memory = F.normalize(self.memory, dim=-1)
        vectors = torch.stack(
            [target[:, self.taxonomy.span(n)].to(memory.dtype) @ memory[self.taxonomy.span(n)]
             for n in range(attribute_embeddings.shape[1])], 1
        )  # fmt: skip
        return torch.where(changed[..., None], F.normalize(vectors, dim=-1), attribute_embeddings)
