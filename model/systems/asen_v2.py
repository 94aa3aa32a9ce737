"""ASEN v2: both attentions read one learned attribute table; a norm; no final layer.

State dict, with the public code's names: ``backbone.*`` (there ``backbonenet``), ``attr_embedding`` (A×c'), and below
``attention.`` (not there): ``attr_transform1``, ``conv1``, ``img_bn1``, ``attr_transform2``, ``fc1``, ``fc2``.
Ours: ``head.centres``.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..encoder import EncoderConfig
from ..system import System
from ..taxonomy import Taxonomy
from .asen import WITHOUT
from .base import AttributeEncoder, Embedding, positions_first
from .conditional import ConditionalAttention
from .triplet import TRIPLET_LOSS


class ASENv2(AttributeEncoder):
    """Attribute table -> `ConditionalAttention` on ψ."""

    class_first = False

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        self.attr_embedding = nn.Embedding(self.count, self.hidden)
        self.attention = ConditionalAttention(
            self.hidden,
            self.channels,
            self.hidden,
            spatial=not self.switched("without_spatial"),
            channel=not self.switched("without_channel"),
        )
        self.centre_head()

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`."""
        vectors, attention = self.attention(positions_first(psi), self.attr_embedding.weight)
        return Embedding(vectors, attention)


ASEN_V2 = System(
    "asen_v2",
    "ASEN by a learned attribute table",
    "the public code of ASEN; ASEN++ (TIP 2021)",
    ASENv2,
    losses=TRIPLET_LOSS,
    switches=WITHOUT,
)
