"""MODC (multi-granular online deep clustering): classes are clusters around moving centres.

State dict: as ASEN v2's, and ``feature_fc`` (C -> 2C).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..encoder import AttributeOutput, Encoder, EncoderConfig
from ..objective import Counts, Losses, Objective, ObjectiveConfig, Roles
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding, positions_first
from .conditional import ConditionalAttention


class MODC(AttributeEncoder):
    """ASEN v2's attention -> FC, twice as wide as the map (2048 of 1024).

    At retrieval the attribute space is split by nearest centre: `CentreHead` predicts one class, and ``class_first``
    puts the query's cluster first.
    """

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        self.width = 2 * self.channels
        self.attr_embedding = nn.Embedding(self.count, self.hidden)
        self.attention = ConditionalAttention(self.hidden, self.channels, self.hidden)
        self.feature_fc = nn.Linear(self.channels, self.width)
        self.centre_head()

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`."""
        vectors, attention = self.attention(positions_first(psi), self.attr_embedding.weight)
        return Embedding(self.feature_fc(vectors), attention)


class MODCObjective(Objective):
    """Prototypical + instance triplets, and the prototypical one for unlabelled images under their pseudo-label.

    An unlabelled (image, attribute) takes the nearest seen centre as its class, and joins it: the centre moves as by a
    labelled one. Its share of the loss is that of the unlabelled among all anchors. (With a mean of their own, a few
    guesses weigh as much as all labels: from scratch, the classes then never come apart.) It has no negative image
    that is certain not to carry the class, so its negative is the next nearest centre; an attribute of which fewer than
    two classes were seen waits (ours).
    """

    names = (*Objective.names, "pseudo")

    def __init__(self, config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> None:
        super().__init__(config, encoder, positive_weight)
        self.taxonomy = encoder.taxonomy

    def forward(
        self, encoder: Encoder, output: AttributeOutput, carried: Tensor, known: Tensor, roles: Roles, counts: Counts
    ) -> Losses:
        """See `Objective.forward`; the centres' sums are also over unlabelled (image, attribute) pairs."""
        losses = super().forward(encoder, output, carried, known, roles, counts)
        sums, seen = losses.prototype_sums, losses.prototype_counts
        for vectors, nearest, _ in self._unlabelled(output, known):
            more = self.prototypes.batch_sums(vectors, nearest)
            sums, seen = sums + more[0], seen + more[1]
        return Losses(losses.terms, sums, seen)

    def extra(self, output: AttributeOutput, carried: Tensor, known: Tensor, counts: Counts) -> dict[str, Tensor]:
        """See `Objective.extra`."""
        unlabelled = counts.images * known.shape[1] - counts.labels
        total = output.embeddings.new_zeros((), dtype=torch.float32)
        for _, _, cosines in self._unlabelled(output, known):
            total = total + (self.config.margin + cosines[:, 1] - cosines[:, 0]).clamp(min=0).sum()
        return {"pseudo": self.config.prototype * total / max(counts.anchors + unlabelled, 1)}

    def _unlabelled(self, output: AttributeOutput, known: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Of each attribute's K unlabelled images: embeddings K×D, nearest class 0..ΣM−1, and the two best cosines."""
        centres, seen = self.prototypes(), self.prototypes.seen
        for n in range(known.shape[1]):
            span = self.taxonomy.span(n)
            classes = span.start + seen[span].nonzero()[:, 0]
            rows = (~known[:, n]).nonzero()[:, 0]
            if len(rows) and len(classes) > 1:
                vectors = output.embeddings[rows, n].float()
                with torch.autocast(vectors.device.type, enabled=False):  # half precision ties centres that differ
                    cosines, order = (F.normalize(vectors, dim=-1) @ centres[classes].T).topk(2)
                yield vectors, classes[order[:, 0]], cosines


MODC_SYSTEM = System(
    "modc",
    "clusters around moving centres, the query's cluster first",
    "MODC: multi-granular online deep clustering for fine-grained fashion retrieval",
    MODC,
    MODCObjective,
    losses=ObjectiveConfig(classification=0, prototype=1, instance=1, margin=0.2),
)
