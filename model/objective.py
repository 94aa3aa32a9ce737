"""M3-Net's objective (Eq. 7–11).

λ_M·BCE + λ_CC·triplet(anchor, prototype, negative) + λ_CI·triplet(anchor, positive, negative).

Every term is a *sum divided by a count of the global batch*, so that the sum over workers is the loss of the whole
batch, however it is sharded. The printed formulas are read with their signs put right (design 2 §1, traps b and c):
Eq. 7 is BCE with ``pos_weight`` w_p, and the d of Eq. 8 is the distance 1 − cos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn import functional as F

from .encoder import AttributeOutput, ClassPairs, Encoder
from .errors import EncoderError
from .prototypes import MovingPrototypes


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the objective.

    Args:
        classification: λ_M ≥ 0.
        prototype: λ_CC ≥ 0.
        instance: λ_CI ≥ 0.
        margin: of both triplet losses, in cosine distance, 0..2.
        positive_weight: w_p > 0, one number; 0 = per attribute the mean ratio of negative to positive labels.
        smoothing: share of the label mass spread over the classes, 0..1 (ours; 0 is the paper's).
        momentum: of the moving prototypes.
    """

    classification: float = 1.0
    prototype: float = 1.0
    instance: float = 1.0
    margin: float = 0.4
    positive_weight: float = 1.0
    smoothing: float = 0.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        for name in ("classification", "prototype", "instance", "positive_weight"):
            if getattr(self, name) < 0:
                raise EncoderError(f"objective.{name} = {getattr(self, name)} is negative")
        for name, top in (("smoothing", 1.0), ("momentum", 1.0), ("margin", 2.0)):
            if not 0 <= getattr(self, name) <= top:
                raise EncoderError(f"objective.{name} = {getattr(self, name)} is not in 0..{top:g}")


@dataclass(frozen=True)
class Roles:
    """Who is anchor, positive and negative to whom in a batch; T rows.

    Attributes:
        anchor: T rows of the batch.
        class_index: T class indices m, carried by the anchor.
        positive: T row numbers *of these roles* whose anchor is another image with m, or −1.
        negative: T rows of the batch, labelled for m's attribute and not carrying m, or −1.
    """

    anchor: Tensor
    class_index: Tensor
    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class Counts:
    """Denominators, over the global batch.

    Attributes:
        images: in the batch.
        labels: (image, attribute) pairs with a known label.
        anchors: roles with a negative (for the prototype term).
        triplets: roles with a positive and a negative (for the instance term).
    """

    images: int
    labels: int
    anchors: int
    triplets: int


@dataclass(frozen=True)
class Losses:
    """The terms by name, weighted, each this worker's share of the batch's; and what the prototypes need."""

    terms: Mapping[str, Tensor]
    prototype_sums: Tensor
    prototype_counts: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum; its gradient summed over workers is the batch's."""
        return torch.stack(list(self.terms.values())).sum()


class Objective(nn.Module):
    """The objective with its moving prototypes. Encoders without a class level are trained in attribute space.

    Other systems use parts of it, by weights of zero, or add terms of their own (`extra`).
    """

    names: tuple[str, ...] = ("classification", "prototype", "instance")
    positive_weight: Tensor
    attribute_of_class: Tensor
    sizes: Tensor

    def __init__(self, config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> None:
        """``positive_weight``: ΣM weights w_p; needed where ``config.positive_weight`` is 0."""
        super().__init__()
        count = encoder.taxonomy.class_count
        if config.positive_weight == 0 and positive_weight is None:
            raise EncoderError("objective.positive_weight = 0 needs the label counts of a training set")
        weight = torch.full((count,), config.positive_weight) if config.positive_weight else positive_weight
        self.config = config
        self.register_buffer("positive_weight", weight, persistent=False)
        self.register_buffer("attribute_of_class", torch.tensor(encoder.taxonomy.attribute_of_class), persistent=False)
        sizes = torch.tensor([len(a.classes) for a in encoder.taxonomy.attributes])
        self.register_buffer("sizes", sizes[self.attribute_of_class], persistent=False)
        self.prototypes = MovingPrototypes(count, encoder.class_width or encoder.width, config.momentum)

    def forward(
        self, encoder: Encoder, output: AttributeOutput, carried: Tensor, known: Tensor, roles: Roles, counts: Counts
    ) -> Losses:
        """Losses of one worker's part of a batch.

        Args:
            encoder: the one that made ``output``.
            output: of B images.
            carried: B×ΣM bool labels.
            known: B×A bool, attributes that are labelled at all; the others are masked.
            roles: over these B images.
            counts: of the whole global batch.
        """
        config = self.config
        classification = self.classification(output, carried, known) / max(counts.labels, 1)
        with_negative = roles.negative >= 0
        images = torch.cat([roles.anchor, roles.negative[with_negative]])
        classes = torch.cat([roles.class_index, roles.class_index[with_negative]])
        if encoder.has_classes:
            vectors = encoder.classes(output, ClassPairs(images, classes))
        else:
            vectors = output.embeddings[images, self.attribute_of_class[classes]]
        vectors = vectors.float()
        anchors, negatives = vectors.split([len(roles.anchor), int(with_negative.sum())])
        sums, seen = self.prototypes.batch_sums(anchors, roles.class_index)
        anchor, class_index = anchors[with_negative], roles.class_index[with_negative]
        hinge = self.triplet(anchor, self.prototypes()[class_index], negatives)
        prototype = (hinge * self.prototypes.seen[class_index]).sum() / max(counts.anchors, 1)
        position = roles.positive[with_negative]
        hinge = self.triplet(anchor, anchors[position.clamp(min=0)], negatives)
        instance = (hinge * (position >= 0)).sum() / max(counts.triplets, 1)
        # A weight of zero leaves a term in the graph: workers expect a gradient of every parameter.
        terms = {
            "classification": config.classification * classification,
            "prototype": config.prototype * prototype,
            "instance": config.instance * instance,
            **self.extra(output, carried, known, counts),
        }
        assert tuple(terms) == self.names, f"terms {tuple(terms)} are not {self.names}"
        return Losses(terms, sums, seen)

    def triplet(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Three K×D, not normalised -> K hinges max(0, margin + s(a, n) − s(a, p)), s the cosine."""
        anchor, positive, negative = (F.normalize(each, dim=-1) for each in (anchor, positive, negative))
        return (self.config.margin + (anchor * negative).sum(-1) - (anchor * positive).sum(-1)).clamp(min=0)

    def extra(self, output: AttributeOutput, carried: Tensor, known: Tensor, counts: Counts) -> dict[str, Tensor]:
        """Terms of a system's own, weighted, each this worker's share; their names end `names`."""
        return {}

    def classification(self, output: AttributeOutput, carried: Tensor, known: Tensor) -> Tensor:
        """Eq. 7, summed over classes and labelled (image, attribute) pairs; missing labels are masked."""
        loss = self.binary(output.logits.float(), self.target(carried))
        return (loss * known[:, self.attribute_of_class]).sum()

    def target(self, carried: Tensor) -> Tensor:
        """Labels B×ΣM bool -> what is to be predicted, B×ΣM in 0..1."""
        share = self.config.smoothing
        return carried * (1 - share) + share / self.sizes

    def binary(self, logits: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy, its positives weighted by w_p, B×ΣM."""
        return F.binary_cross_entropy_with_logits(logits, target, pos_weight=self.positive_weight, reduction="none")


def label_ratio(carried: Tensor, known: Tensor, attribute_of_class: Tensor) -> Tensor:
    """w_p of the supplement: per attribute the mean ratio of negative to positive labels -> ΣM.

    ``carried`` N×ΣM and ``known`` N×A, bool; classes that nobody carries stay out of the mean.
    """
    positive = carried.sum(0).float()
    negative = known.sum(0).float()[attribute_of_class] - positive
    ratio = torch.where(positive > 0, negative / positive.clamp(min=1), torch.nan)
    attributes = int(attribute_of_class.max()) + 1
    means = torch.stack([ratio[attribute_of_class == n].nanmean() for n in range(attributes)]).nan_to_num(1.0)
    return means.clamp(min=1e-3)[attribute_of_class]


def sum_over_workers(tensor: Tensor) -> Tensor:
    """The sum of every worker's tensor, for a denominator that only the whole batch has; no gradient passes."""
    total = tensor.detach().clone()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total)
    return total
