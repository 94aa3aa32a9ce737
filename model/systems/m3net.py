"""M3-Net (CVPR 2023): multi-modal, multi-granularity, multi-label attribute-specific embeddings.

State dict: ``backbone.*`` (torchvision's names), ``attribute_spatial`` (SCA-A), ``attribute_channel`` (CCA-A),
``heads.<n>`` (g_n), ``class_spatial`` (SCA-C_n: convolution and norm stacked over n in blocks of c' channels,
one table row per class), ``class_channel.<n>`` (CCA-C_n).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..attention import ChannelAttention, ClassSpatialAttention, SpatialAttention
from ..backbone import Backbone
from ..encoder import AttributeOutput, ClassPairs, Encoder, EncoderConfig, check_images
from ..heads import class_head
from ..preparation import normalize
from ..system import System
from ..taxonomy import Taxonomy


class M3Net(Encoder):
    """M3-Net and its two ablations.

    ``m3net_a`` has no class level; ``m3net_c`` attends by class on ψ itself, and its attribute embedding is the
    mean of ψ over positions, the same for every attribute.
    """

    attribute_of_class: Tensor
    offsets: Tensor

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        self.backbone = Backbone(config.backbone, config.weights, config.stem)
        channels = self.width = self.backbone.channels
        hidden = config.hidden or channels // 2
        sizes = tuple(len(attribute.classes) for attribute in taxonomy.attributes)
        count = len(sizes)
        self.has_attributes = config.system != "m3net_c"
        self.class_width = None if config.system == "m3net_a" or self.switched("without_classes") else channels
        if self.has_attributes:
            self.attribute_spatial = SpatialAttention(count, channels, hidden)
            self.attribute_channel = ChannelAttention(count, channels, hidden)
        kind = config.head or "cosine"
        self.heads = nn.ModuleList(class_head(kind, channels, hidden, size, config.dropout) for size in sizes)
        if self.has_classes:
            self.class_spatial = ClassSpatialAttention(sizes, channels, hidden)
            self.class_channel = nn.ModuleList(ChannelAttention(size, channels, hidden) for size in sizes)
        self.register_buffer("attribute_of_class", torch.tensor(taxonomy.attribute_of_class), persistent=False)
        self.register_buffer("offsets", torch.tensor(taxonomy.offsets), persistent=False)

    def attributes(self, images: Tensor) -> AttributeOutput:
        """Eq. 1–3: φ_n by SCA-A, attribute embedding by CCA-A, P_n by g_n."""
        # Positions first: of a channels-last map this is a view, and every product below reads it in order.
        mapped = self.backbone(normalize(check_images(images)))
        psi = mapped.flatten(2).transpose(1, 2).contiguous()  # B×S×C
        if self.has_attributes:
            attention = self.attribute_spatial(psi)  # B×A×S
            pooled = attention.to(psi.dtype) @ psi  # B×A×C: Σ_s φ_n
            labels = torch.arange(pooled.shape[1], device=pooled.device)
            embeddings = self.attribute_channel(pooled, labels)
            state: tuple[Tensor, ...] = (psi, attention)
            maps = attention.unflatten(2, mapped.shape[2:])
        else:
            embeddings = psi.mean(1)[:, None].expand(-1, len(self.heads), -1)
            state = (psi,)
            maps = psi.new_full((1, 1, *mapped.shape[2:]), 1 / psi.shape[1]).expand(*embeddings.shape[:2], -1, -1)
        logits = torch.cat([head(embeddings[:, n]) for n, head in enumerate(self.heads)], 1)
        return AttributeOutput(embeddings, logits, state, maps)

    def classes(self, output: AttributeOutput, pairs: ClassPairs) -> Tensor:
        """Eq. 4–6: SCA-C_n(φ_n, m) -> sum over positions -> CCA-A(·, n) -> CCA-C_n(·, m)."""
        if not self.has_classes:
            return super().classes(output, pairs)
        psi, attribute = output.state[0], self.attribute_of_class[pairs.class_index]
        weights = self._class_weights(output, pairs)
        vectors = pool_pairs(psi, pairs.image, weights)
        if self.has_attributes:
            vectors = self.attribute_channel(vectors, attribute)
        # A module per attribute: sort the pairs by attribute, run each module on its run, put them back.
        order = torch.argsort(attribute, stable=True)
        counts = torch.bincount(attribute, minlength=len(self.heads)).tolist()
        local = (pairs.class_index - self.offsets[attribute])[order].split(counts)
        runs = vectors[order].split(counts)
        gated = [module(run, label) for module, run, label in zip(self.class_channel, runs, local, strict=True)]
        return torch.empty_like(vectors).index_copy(0, order, torch.cat(gated))

    def class_attention(self, output: AttributeOutput, pairs: ClassPairs) -> Tensor:
        """See `Encoder.class_attention`: α_n⊙α_m, what ψ is pooled with, scaled to a sum of 1."""
        if not self.has_classes:
            return super().class_attention(output, pairs)
        weights = self._class_weights(output, pairs)
        assert output.attention is not None  # M3-Net always says where it looks, even if that is everywhere
        return (weights / weights.sum(1, keepdim=True)).unflatten(1, output.attention.shape[2:])

    def _class_weights(self, output: AttributeOutput, pairs: ClassPairs) -> Tensor:
        """S·α_n⊙α_m (α_m alone without attribute modules) of each pair over positions: K×S."""
        psi, attention = output.state[0], output.state[1] if self.has_attributes else None
        weights: Tensor = self.class_spatial(psi, attention)[pairs.image, pairs.class_index]
        if attention is None:
            return weights
        return weights * attention[pairs.image, self.attribute_of_class[pairs.class_index]] * attention.shape[-1]


def pool_pairs(psi: Tensor, image: Tensor, weights: Tensor) -> Tensor:
    """Σ_s w_ks ψ_(image k),s: ψ B×S×C, image K, weights K×S -> K×C.

    The K rows are laid into B×P slots (P = most pairs of one image), so that ψ is read once by one batched
    product and never gathered per pair.
    """
    count = torch.bincount(image, minlength=len(psi))
    slots = int(count.max()) if len(image) else 1
    order = torch.argsort(image, stable=True)
    starts = count.cumsum(0) - count
    slot = torch.empty_like(image)
    slot[order] = torch.arange(len(image), device=image.device) - starts[image[order]]
    laid = weights.new_zeros(len(psi), slots, weights.shape[1]).index_put((image, slot), weights)
    return (laid @ psi.to(laid.dtype))[image, slot]


_SOURCE = "Multi-modal Multi-granularity Multi-label (CVPR 2023), Eq. 1–11"
_HEADS = ("cosine", "mlp")
M3NET = System("m3net", "attribute and class modules", _SOURCE, M3Net, heads=_HEADS)
M3NET_A = System("m3net_a", "M3-Net with attribute modules only", _SOURCE, M3Net, heads=_HEADS)
M3NET_C = System("m3net_c", "M3-Net with class modules only, on the backbone's map", _SOURCE, M3Net, heads=_HEADS)
