"""A plain multi-head classifier: what one would write in an afternoon, and so the baseline that matters (ours).

State dict: ``backbone.*``, ``features.<n>`` (of each attribute), ``heads.<n>`` (its logits).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..cross_entropy import CrossEntropyObjective
from ..encoder import EncoderConfig
from ..objective import ObjectiveConfig
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding


class Classifier(AttributeEncoder):
    """Backbone -> average pool -> per attribute a hidden layer -> logits. Items are searched by that hidden layer."""

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        self.width = self.hidden
        self.features = nn.ModuleList(nn.Linear(self.channels, self.hidden) for _ in range(self.count))
        self.learned_heads("linear")

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`."""
        pooled = psi.mean((2, 3))
        return Embedding(torch.stack([torch.relu(layer(pooled)) for layer in self.features], 1))


CLASSIFIER = System(
    "classifier",
    "a plain multi-head classifier, and its features",
    "ours",
    Classifier,
    objective=CrossEntropyObjective,
    losses=ObjectiveConfig(prototype=0, instance=0),
    heads=("linear", "cosine"),
)
