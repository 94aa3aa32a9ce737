"""Cross-entropy: for encoders whose single-label attributes are softmaxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .encoder import AttributeOutput, Encoder
from .objective import Objective, ObjectiveConfig


class CrossEntropyObjective(Objective):
    """−log P of the class where an item has one, binary cross-entropy (with w_p) where it may have several.

    The encoder's logits are those of `model.heads.softmax_logits`: log P − log(1 − P), so that log σ(logit) = log P.
    """

    def __init__(self, config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> None:
        super().__init__(config, encoder, positive_weight)
        self.taxonomy = encoder.taxonomy

    def classification(self, output: AttributeOutput, carried: Tensor, known: Tensor) -> Tensor:
        """See `Objective.classification`."""
        logits, target = output.logits.float(), self.target(carried)
        binary, single = self.binary(logits, target), -target * F.logsigmoid(logits)
        parts = []
        for n, attribute in enumerate(self.taxonomy.attributes):
            loss = (binary if attribute.multi_label else single)[:, self.taxonomy.span(n)]
            parts.append((loss.sum(1) * known[:, n]).sum())
        return torch.stack(parts).sum()
