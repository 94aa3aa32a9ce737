"""Conditional similarity networks (CSN, CVPR 2017): one embedding, and a mask of it for each attribute.

Two forms: ASEN's comparison (cosine, as wide as the backbone's map; the default) and the original (64 wide,
Euclidean, norms of embeddings and masks in the loss).

The original form's distances are of vectors of norm 1 (ours). CSN trains on and ranks by distances of vectors as they
are; an index of unit vectors cannot, and a loss on those would be content with orders that the search does not have.
The distance of unit vectors is √(2 − 2 cos): what is searched is what is trained, with CSN's margin. The norm of the
embeddings in the loss then holds their scale, and orders nothing.

State dict: ``backbone.*``, ``embed_fc``, ``masks.weight`` (A×D). CSN's own code has ``embeddingnet.*`` with
``embeddingnet.fc_embed``, and ``masks.weight``; ASEN's code ``embed_fc`` and ``masks.weight``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..encoder import AttributeOutput, Encoder, EncoderConfig
from ..errors import EncoderError
from ..objective import Counts, Objective, ObjectiveConfig, sum_over_workers
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding
from .triplet import TRIPLET_LOSS

_ORIGINAL_WIDTH = 64
_EMBEDDING_NORM = 5e-3  # weights of the original's loss
_MASK_NORM = 5e-4


class CSN(AttributeEncoder):
    """Backbone -> average pool -> FC -> ⊙ mask of the attribute.

    Masks are learned from N(0.9, 0.7) unless switched: ``fixed`` (each attribute has its own D/A dimensions, for good)
    or ``disjoint`` (learned from 1 there and 0.1 elsewhere). Learned masks pass a ReLU.
    """

    class_first = False

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        if self.switched("fixed") and self.switched("disjoint"):
            raise EncoderError("csn: the masks are 'fixed' or learned from 'disjoint' ones, not both")
        self.width = _ORIGINAL_WIDTH if self.switched("original") else self.channels
        if self.width < self.count:
            raise EncoderError(f"csn: {self.count} attributes cannot share {self.width} dimensions")
        self.embed_fc = nn.Linear(self.channels, self.width)
        self.masks = nn.Embedding(self.count, self.width)
        nn.init.normal_(self.masks.weight, 0.9, 0.7)
        if self.switched("fixed") or self.switched("disjoint"):
            own = torch.arange(self.width) // (self.width // self.count) == torch.arange(self.count)[:, None]
            elsewhere = 0.0 if self.switched("fixed") else 0.1
            with torch.no_grad():
                self.masks.weight.copy_(torch.where(own, 1.0, elsewhere))
        self.masks.weight.requires_grad_(not self.switched("fixed"))
        self.centre_head()

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`; the state is the embedding B×D and the masks A×D."""
        vector = self.embed_fc(psi.mean((2, 3)))
        masks = torch.relu(self.masks.weight)
        return Embedding(vector[:, None] * masks, None, (vector, masks))


class CSNObjective(Objective):
    """Triplet loss; in the original form by Euclidean distances of unit vectors, + 5e-3·‖E‖_F/√B + 5e-4·‖mask‖_1/B.

    ‖mask‖_1 is over the mask of each image of the batch, so its mean over the attributes' masks (every image is
    used for all attributes here).
    """

    names = (*Objective.names, "embedding_norm", "mask_norm")

    def __init__(self, config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> None:
        super().__init__(config, encoder, positive_weight)
        self.original = encoder.switched("original")

    def triplet(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """See `Objective.triplet`; by Euclidean distances (of norm 1) in the original form."""
        if not self.original:
            return super().triplet(anchor, positive, negative)
        anchor, positive, negative = (F.normalize(each, dim=-1) for each in (anchor, positive, negative))
        return (self.config.margin + _distance(anchor, positive) - _distance(anchor, negative)).clamp(min=0)

    def extra(self, output: AttributeOutput, carried: Tensor, known: Tensor, counts: Counts) -> dict[str, Tensor]:
        """See `Objective.extra`."""
        vector, masks = output.state
        if not self.original:
            zero = vector.new_zeros((), dtype=torch.float32)
            return {"embedding_norm": zero, "mask_norm": zero}
        # r = ‖E‖_F/√B of the whole batch has the gradient d‖E‖²/(2·r·B): half of this term carries it, half the value.
        squares = vector.float().square().sum()
        root = (sum_over_workers(squares.detach()) / counts.images + 1e-12).sqrt()
        half = squares / (2 * root * counts.images)
        size = masks.float().abs().sum(-1).mean() * len(vector) / counts.images
        return {"embedding_norm": _EMBEDDING_NORM * (half + half.detach()), "mask_norm": _MASK_NORM * size}


def _distance(first: Tensor, second: Tensor) -> Tensor:
    return ((first - second).square().sum(-1) + 1e-12).sqrt()  # the root of zero has no gradient


CSN_SYSTEM = System(
    "csn",
    "one embedding, masked by attribute",
    "Conditional Similarity Networks (CVPR 2017); ASEN (AAAI 2020), Table 1",
    CSN,
    CSNObjective,
    losses=TRIPLET_LOSS,
    switches={
        "fixed": "masks are disjoint and stay so",
        "disjoint": "masks are learned from disjoint ones",
        "original": "64 wide, Euclidean, norms in the loss (the other is ASEN's form)",
    },
    unused=("hidden",),
)
