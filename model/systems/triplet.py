"""The triplet network: one space for all attributes, no condition.

State dict: ``backbone.*``, ``embed_fc``, ``head.centres``.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..encoder import EncoderConfig
from ..objective import ObjectiveConfig
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding

TRIPLET_LOSS = ObjectiveConfig(classification=0, prototype=0, instance=1, margin=0.2)


class TripletNetwork(AttributeEncoder):
    """Backbone -> average pool -> FC; the same vector is every attribute's embedding."""

    class_first = False

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        self.embed_fc = nn.Linear(self.channels, self.channels)
        self.centre_head()

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`."""
        vector: Tensor = self.embed_fc(psi.mean((2, 3)))
        return Embedding(vector[:, None].expand(-1, self.count, -1))


TRIPLET = System(
    "triplet",
    "one space without attributes",
    "the baseline of ASEN (AAAI 2020), Table 1",
    TripletNetwork,
    losses=TRIPLET_LOSS,
    unused=("hidden",),
)
