"""Items searched by what they are believed to be: M3-Net, its attribute level compared by class posteriors (ours).

Whether a candidate c shares the class of a query q is not certain, since neither's class is. Given their posteriors,
the probability that it does is s(q, c) = Σ_m P_q(m)·P_c(m), and a ranking by the probability of relevance is the best
in expectation (Robertson, "The probability ranking principle in IR", 1977). Tiers are the same with P rounded to 0 and
1: they throw away how sure both are.

The class level is M3-Net's, for what one probability cannot say: which of the items that carry a class are most alike.

State dict: as `m3net`'s.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..cross_entropy import CrossEntropyObjective
from ..encoder import AttributeOutput, Encoder, EncoderConfig
from ..heads import softmax_logits
from ..objective import Objective, ObjectiveConfig
from ..system import System
from ..taxonomy import Taxonomy
from .m3net import M3Net

_SMALLEST = 1e-6  # slack, so that the root has a gradient


class Posterior(M3Net):
    """An attribute embedding is [P_n(1), …, P_n(M_n), 0, …, slack], a unit vector of as many dimensions as the largest
    attribute has classes, and one.

    P_n of an attribute with one class is a softmax; of a multi-label attribute sigmoids, scaled down to a norm of 1
    where they exceed it.
    """

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        if not self.switched("without_posterior"):
            self.class_first, self.slack = False, 1
            self.width = max(len(attribute.classes) for attribute in taxonomy.attributes) + self.slack

    def attributes(self, images: Tensor) -> AttributeOutput:
        """See `Encoder.attributes`; the last of the state is what the softmaxes and sigmoids are of, B×ΣM."""
        output = super().attributes(images)
        scores = output.logits.float()
        logits = softmax_logits(scores, self.taxonomy)
        embeddings = output.embeddings if self.switched("without_posterior") else self._unit(logits.sigmoid())
        return AttributeOutput(embeddings, logits, (*output.state, scores), output.attention)

    def _unit(self, probabilities: Tensor) -> Tensor:
        """B×ΣM -> B×A×D."""
        parts = []
        for n in range(len(self.taxonomy.attributes)):
            part = probabilities[:, self.taxonomy.span(n)]
            part = part / part.norm(dim=1, keepdim=True).clamp(min=1)
            slack = (1 - part.square().sum(1, keepdim=True)).clamp(min=_SMALLEST**2).sqrt()
            parts.append(torch.cat([F.pad(part, (0, self.width - self.slack - part.shape[1])), slack], 1))
        return torch.stack(parts, 1)


class PosteriorObjective(CrossEntropyObjective):
    """Cross-entropy, with which P does best to be the posterior; M3-Net's triplets in the class spaces."""

    def __init__(self, config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> None:
        if not encoder.has_classes:  # triplets would be of posteriors then, which have their own loss
            config = replace(config, prototype=0.0, instance=0.0)
        super().__init__(config, encoder, positive_weight)
        self.without_softmax = encoder.switched("without_softmax")

    def classification(self, output: AttributeOutput, carried: Tensor, known: Tensor) -> Tensor:
        """See `Objective.classification`."""
        if not self.without_softmax:
            return super().classification(output, carried, known)
        return Objective.classification(self, replace(output, logits=output.state[-1]), carried, known)


POSTERIOR = System(
    "posterior",
    "M3-Net, its attributes searched by class posteriors",
    "ours",
    Posterior,
    PosteriorObjective,
    losses=ObjectiveConfig(prototype=0.2, instance=0.2),
    heads=("cosine", "mlp"),
    switches={
        "without_posterior": "searched by tiers and attribute embeddings, as M3-Net is",
        "without_softmax": "binary cross-entropy where an item has one class, too, as M3-Net's",
        "without_classes": "no class level, as M3-Net's attribute modules alone",
    },
)
