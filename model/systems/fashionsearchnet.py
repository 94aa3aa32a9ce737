"""FashionSearchNet-v2: attributes are found by their activation maps, cut out, and embedded.

State dict: ``backbone.*`` (up to the paper's conv5; its AlexNet trunk gives way to the backbone of the other systems),
``conv6``, ``conv7``, ``maps.<n>`` (of GAP(conv7): class weights), ``fc.<n>.0`` and ``.2`` (of attribute n's region),
``region_heads.<n>``. The memory and W are the checkpoint's head.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from ..cross_entropy import CrossEntropyObjective
from ..encoder import AttributeOutput, Encoder, EncoderConfig
from ..heads import softmax_logits
from ..manipulation import HeadConfig
from ..objective import Counts, ObjectiveConfig
from ..soft_triplet import soft_triplet
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding

_THRESHOLD = 0.2  # of an activation map's maximum
_POOL = 3  # positions of a pooled region, each way
SWITCHES = {
    "without_rank": "no triplet loss (w/o Rank)",
    "without_localisation": "the whole picture instead of the attribute's region (Rank)",
    "without_global": "no global head: the attributes' vectors, concatenated (Rank, Rank-L)",
    "frozen_memory": "the memory stays the class means (Rank-LG, which is v1)",
    "fusion": "un-cropped features beside the region's (Full w/ FF)",
}


class FashionSearchNet(AttributeEncoder):
    """f_n = FC_n of ψ in the box of attribute n's activation map; its classes are read from GAP(conv7).

    In its first stage the classes alone are learned. P is a softmax over a single-label attribute's classes (ours: a
    sigmoid each over a multi-label one's), given as a logit, so that its sigmoid is P.
    """

    stages = 2

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        channels, hidden = self.channels, self.hidden
        self.width = hidden
        sizes = [len(attribute.classes) for attribute in taxonomy.attributes]
        self.conv6 = nn.Conv2d(channels, hidden, 3, padding=1)
        self.conv7 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.maps = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)
        inputs = channels * _POOL**2 * (2 if self.switched("fusion") else 1)
        self.fc = nn.ModuleList(
            nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden)) for _ in sizes
        )
        self.region_heads = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`; the attention is the activation maps, the state the logits of `maps`, B×ΣM."""
        deep = torch.relu(self.conv7(torch.relu(self.conv6(psi))))
        pooled = deep.mean((2, 3))
        scores = [layer(pooled) for layer in self.maps]
        activations = torch.stack([self._activation(deep, n, score) for n, score in enumerate(scores)], 1)
        first = self.training and self.stage == 0
        vectors = psi.new_zeros(len(psi), self.count, self.width) if first else self._regions(psi, activations)
        return Embedding(vectors, activations.flatten(2).clamp(min=0), (torch.cat(scores, 1),))

    def logits(self, embeddings: Tensor) -> Tensor:
        """Not of the embeddings: see `attributes`."""
        return embeddings.new_zeros(len(embeddings), self.taxonomy.class_count)

    def attributes(self, images: Tensor) -> AttributeOutput:
        """See `Encoder.attributes`."""
        output = super().attributes(images)
        return replace(output, logits=softmax_logits(output.state[0].float(), self.taxonomy))

    def _activation(self, deep: Tensor, n: int, scores: Tensor) -> Tensor:
        """The predicted class' weights at every position of conv7: B×h×w. No gradient passes."""
        weight = self.maps[n].weight
        assert isinstance(weight, Tensor)
        return torch.einsum("bchw,bc->bhw", deep.detach(), weight.detach()[scores.argmax(1)])

    def _regions(self, psi: Tensor, activations: Tensor) -> Tensor:
        count, (height, width) = self.count, psi.shape[2:]
        whole = torch.tensor([0.0, 0.0, width, height], device=psi.device).expand(len(psi), count, 4)
        boxes = whole if self.switched("without_localisation") else region_boxes(activations.float())
        pooled = self._pool(psi, boxes)
        if self.switched("fusion"):
            pooled = torch.cat([pooled, self._pool(psi, whole[:, :1]).expand_as(pooled)], 2)
        return torch.stack([layer(pooled[:, n]) for n, layer in enumerate(self.fc)], 1)

    def _pool(self, psi: Tensor, boxes: Tensor) -> Tensor:
        """ψ B×C×h×w in boxes B×L×4, in positions -> B×L×(C·9)."""
        image = torch.arange(len(psi), device=psi.device).repeat_interleave(boxes.shape[1])
        rois = torch.cat([image[:, None].to(boxes), boxes.flatten(0, 1)], 1)
        return roi_align(psi.float(), rois, _POOL, aligned=True).flatten(1).unflatten(0, boxes.shape[:2])


def region_boxes(activations: Tensor) -> Tensor:
    """Activation maps B×A×h×w -> box of the largest connected region above 20 % of the maximum, B×A×4, in positions.

    Left, top, right, bottom; positions touch by their sides. A map without a positive value gives the whole picture.
    """
    highest = activations.amax((2, 3), keepdim=True)
    region = largest_region((activations >= _THRESHOLD * highest) | (highest <= 0))
    corners = []
    for length, along in ((region.shape[3], region.any(2)), (region.shape[2], region.any(3))):
        corners.append((along.int().argmax(-1), length - along.flip(-1).int().argmax(-1)))
    (left, right), (top, bottom) = corners
    return torch.stack([left, top, right, bottom], -1).to(activations)


def largest_region(mask: Tensor) -> Tensor:
    """Masks …×h×w bool -> the same with their largest connected region only (the first of equals, in reading order).

    Every position takes the highest number in its neighbourhood until nothing changes: then each region has one.
    """
    height, width = mask.shape[-2:]
    number = torch.arange(height * width, 0, -1, device=mask.device, dtype=torch.float32).view(height, width)
    inside = mask.flatten(0, -3).float()[:, None]
    label = inside * number
    while True:
        # A plus-shaped neighbourhood: the larger of a row's and a column's.
        spread = torch.maximum(F.max_pool2d(label, (3, 1), 1, (1, 0)), F.max_pool2d(label, (1, 3), 1, (0, 1))) * inside
        if torch.equal(spread, label):
            break
        label = spread
    flat = label.flatten(1).long()
    sizes = torch.zeros(len(flat), height * width + 1, device=mask.device).scatter_add_(1, flat, inside.flatten(1))
    sizes[:, 0] = 0
    # Of equal sizes the highest number, which is the first in reading order.
    best = height * width - sizes.flip(1).argmax(1)
    return ((flat == best[:, None]) & (flat > 0)).view_as(mask)


class FashionSearchNetObjective(CrossEntropyObjective):
    """L_C; then L_C + 1.5 L_T + L_TC, where L_C and L_TC are cross-entropies of maps and of regions."""

    names = (*CrossEntropyObjective.names, "regions")

    def __init__(self, config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> None:
        super().__init__(config, encoder, positive_weight)
        assert isinstance(encoder, FashionSearchNet)
        self.ranked = not encoder.switched("without_rank")
        # A list, so that the encoder is not a sub-module of its objective.
        self._encoder = [encoder]

    @property
    def _first(self) -> bool:
        encoder = self._encoder[0]
        return encoder.training and encoder.stage == 0

    def triplet(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Soft triplet of the two distances, of vectors of norm 1 (ours).

        In the first stage there are no vectors: without this it would add a constant ¼ to the loss.
        """
        anchor, positive, negative = (F.normalize(each, dim=-1) for each in (anchor, positive, negative))
        apart = ((anchor - each).square().sum(-1).add(1e-12).sqrt() for each in (positive, negative))
        near, far = apart
        return soft_triplet(near, far) * (self.ranked and not self._first)

    def extra(self, output: AttributeOutput, carried: Tensor, known: Tensor, counts: Counts) -> dict[str, Tensor]:
        """See `Objective.extra`."""
        encoder = self._encoder[0]
        if self._first:
            return {"regions": output.embeddings.sum() * 0}
        scores = torch.cat([head(output.embeddings[:, n]) for n, head in enumerate(encoder.region_heads)], 1)
        regions = replace(output, logits=softmax_logits(scores.float(), self.taxonomy))
        loss = self.classification(regions, carried, known)
        return {"regions": loss / max(counts.labels, 1)}


def _head(config: EncoderConfig) -> HeadConfig:
    kind = "concatenated" if {"without_global", "without_rank"} & set(config.switches) else "global"
    memory = kind == "global" and "frozen_memory" not in config.switches
    return HeadConfig(kind, memory, "soft_triplet")  # type: ignore[arg-type]


FASHIONSEARCHNET = System(
    "fashionsearchnet",
    "attributes are found, cut out and embedded; a trained memory for manipulation",
    "FashionSearchNet-v2",
    FashionSearchNet,
    FashionSearchNetObjective,
    losses=ObjectiveConfig(classification=1, prototype=0, instance=1.5),
    switches=SWITCHES,
    unused=("dropout", "head"),
    manipulation=_head,
)
