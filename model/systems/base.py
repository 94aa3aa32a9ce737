"""What systems without a class level share: a backbone, all attributes' embeddings of its map, and class heads."""

from __future__ import annotations

import abc
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..backbone import Backbone
from ..encoder import AttributeOutput, Encoder, EncoderConfig, check_images
from ..errors import EncoderError
from ..heads import CentreHead, class_head, softmax_logits
from ..preparation import normalize
from ..taxonomy import Taxonomy


class Embedding(NamedTuple):
    """What `AttributeEncoder.embed` gives.

    Attributes:
        vectors: B×A×D, not normalised.
        attention: B×A×S ≥ 0, or None.
        state: of the output.
    """

    vectors: Tensor
    attention: Tensor | None = None
    state: tuple[Tensor, ...] = ()


class AttributeEncoder(Encoder):
    """Backbone -> `embed` -> heads. State dict: ``backbone.*``, the system's own, ``head.centres`` or ``heads.<n>``.

    Attributes:
        channels: C of the backbone's map.
        hidden: c' of the attention spaces.
    """

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy, *, deep: bool = False) -> None:
        super().__init__(config, taxonomy)
        self.backbone = Backbone(config.backbone, config.weights, config.stem, deep=deep)
        self.channels = self.width = self.backbone.channels
        self.hidden = config.hidden or self.channels // 2
        self.count = len(taxonomy.attributes)

    def learned_heads(self, kind: str) -> None:
        """Give each attribute a classifier, whose P is a softmax over the classes of one that is single-label.

        Call it, or `centre_head`, when `width` is final.
        """
        config, sizes = self.config, [len(attribute.classes) for attribute in self.taxonomy.attributes]
        self.heads = nn.ModuleList(
            class_head(config.head or kind, self.width, self.hidden, size, config.dropout) for size in sizes
        )

    def centre_head(self) -> None:
        """Predict classes by the nearest centre."""
        if self.config.dropout:
            raise EncoderError(f"{self.config.system} learns no classifier that dropout would stand before")
        self.head = CentreHead(self.taxonomy, self.width)

    @abc.abstractmethod
    def embed(self, psi: Tensor) -> Embedding:
        """ψ B×C×h×w -> attribute embeddings and what belongs to them."""

    def attributes(self, images: Tensor) -> AttributeOutput:
        """See `Encoder.attributes`."""
        psi = self.backbone(normalize(check_images(images)))
        return self.output(self.embed(psi), psi)

    def output(self, embedding: Embedding, psi: Tensor, *more: Tensor) -> AttributeOutput:
        """An embedding of the map ψ (its size alone matters), with more of the state."""
        attention = embedding.attention
        maps = None if attention is None else attention.unflatten(2, psi.shape[2:])
        return AttributeOutput(embedding.vectors, self.logits(embedding.vectors), (*embedding.state, *more), maps)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Attribute embeddings B×A×D -> B×ΣM."""
        if hasattr(self, "heads"):
            scores = torch.cat([head(embeddings[:, n]) for n, head in enumerate(self.heads)], 1)
            return softmax_logits(scores.float(), self.taxonomy)
        logits: Tensor = self.head(embeddings)
        return logits

    @torch.no_grad()
    def set_centres(self, centres: Tensor) -> None:
        """See `Encoder.set_centres`."""
        if hasattr(self, "head"):
            self.head.centres.copy_(centres)


def positions_first(psi: Tensor) -> Tensor:
    """ψ B×C×h×w -> B×S×C; of a channels-last map a view, and every product then reads it in order."""
    return psi.flatten(2).transpose(1, 2).contiguous()
