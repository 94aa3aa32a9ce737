"""AMNet (memory-augmented attribute manipulation, CVPR 2017): one space, and a memory fused into it.

State dict: ``backbone.*``, ``embed_fc``, ``heads.<n>``; the memory and the fusion are the checkpoint's head
(`model.manipulation.FusionHead`).
"""

from __future__ import annotations

from torch import Tensor, nn

from ..cross_entropy import CrossEntropyObjective
from ..encoder import EncoderConfig
from ..manipulation import HeadConfig
from ..objective import ObjectiveConfig
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding


class AMNet(AttributeEncoder):
    """Backbone -> average pool -> FC: every attribute's embedding, and what its classifiers read (CE + triplet)."""

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        self.embed_fc = nn.Linear(self.channels, self.channels)
        self.learned_heads("linear")

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`."""
        vector: Tensor = self.embed_fc(psi.mean((2, 3)))
        return Embedding(vector[:, None].expand(-1, self.count, -1))


AMNET = System(
    "amnet",
    "one space; manipulations are fused into it from a memory",
    "AMNet (CVPR 2017); FashionSearchNet-v2, Table 2",
    AMNet,
    objective=CrossEntropyObjective,
    losses=ObjectiveConfig(classification=1, prototype=0, instance=1, margin=0.2),
    heads=("linear", "cosine"),
    unused=("hidden",),
    manipulation=lambda _: HeadConfig("fusion", loss="soft_triplet"),
)
