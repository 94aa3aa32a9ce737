"""ASEN++ (TIP 2021): a global branch, and a local one that looks at where the first attended.

State dict; in brackets the public code's names: ``backbone.*`` (``choices.global.basenet``), ``attr_embedding``
(``choices.global.attrnet.attr_embedding``), ``attention.*`` (``choices.global.attnnet``, ``conv1`` is its ``conv``),
``feature_fc`` (``….feature_fc``), and ``local_backbone``, ``local_attention``, ``local_feature_fc`` likewise of
``choices.local``. Ours: ``head.centres``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from ..backbone import Backbone
from ..encoder import AttributeOutput, Encoder, EncoderConfig, check_images
from ..errors import EncoderError
from ..objective import Counts, Objective, ObjectiveConfig
from ..preparation import normalize
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding, positions_first
from .conditional import ConditionalAttention
from .triplet import TRIPLET_LOSS

_BETA = 0.6  # share of the global branch in the similarity
_THRESHOLD = 0.1  # of the scaled attention, inside the box (the public code's default is 0.4)
_LOCAL_WEIGHT = 0.1
_ALIGN_WEIGHT = 0.1
_SLOW = 0.1  # the global branch' learning rate in the second stage, against the local one's
_STRIDE = 16  # of the local backbone
_CONSTANT = 1e-4  # of a map's maximum: a smaller range is rounding, of softmax and of interpolation


class ASENpp(AttributeEncoder):
    """Embedding [√β ĝ; √(1−β) l̂], 2C wide: the cosine of two is β·cos_g + (1−β)·cos_l.

    In its first stage, in validation too, there is no local branch, and l̂ = 0. The local branch has a ResNet-34 beside
    a ResNet-50, else the global branch's kind, and sees its box at half the picture's longer side (112 of 224). It
    starts from the same weights, so those of a file must fit both branches.
    """

    class_first = False
    stages = 2

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        channels = self.channels
        self.width = 2 * channels
        self.stage = self.stages - 1  # until a trainer says otherwise: a network out of a file is finished
        self.attr_embedding = nn.Embedding(self.count, self.hidden)
        self.attention = ConditionalAttention(self.hidden, channels, self.hidden, norm=False)
        self.feature_fc = nn.Linear(channels, channels)
        kind = "resnet34" if config.backbone == "resnet50" else config.backbone
        if kind != config.backbone and config.weights not in ("none", "imagenet"):
            raise EncoderError(
                f"asen_pp: {config.weights} are weights of {config.backbone}, and its local branch is a {kind}: "
                "give 'imagenet', 'none' or a smaller backbone"
            )
        self.local_backbone = Backbone(kind, config.weights, config.stem)
        local = self.local_backbone.channels
        self.local_attention = ConditionalAttention(self.hidden, local, local, norm=False)
        self.local_feature_fc = nn.Linear(local, channels)
        self.centre_head()

    def attributes(self, images: Tensor) -> AttributeOutput:
        """See `Encoder.attributes`; the attention is the global branch's."""
        images = normalize(check_images(images))
        psi = self.backbone(images)
        vectors, attention = self.attention(positions_first(psi), self.attr_embedding.weight)
        whole = F.normalize(self.feature_fc(vectors), dim=-1)
        if self.stage == 0:
            local = torch.zeros_like(whole)
        else:
            maps = attention.detach().float().unflatten(2, psi.shape[2:])
            local = self.local(images, attention_boxes(maps, images.shape[2:], _THRESHOLD))
        embeddings = torch.cat([_BETA**0.5 * whole, (1 - _BETA) ** 0.5 * local], -1)
        return self.output(Embedding(embeddings, attention), psi)

    def embed(self, psi: Tensor) -> Embedding:
        """Not of a map alone: the local branch reads the picture."""
        raise NotImplementedError

    def rates(self, parameter: str) -> tuple[float, ...]:
        """See `Encoder.rates`."""
        return (1.0, 1.0 if parameter.startswith("local_") else _SLOW)

    def local(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Normalised images B×3×H×W and their boxes B×A×4 (`attention_boxes`) -> l̂, B×A×C, of norm 1."""
        side = -(-max(images.shape[2:]) // (2 * _STRIDE)) * _STRIDE
        image = torch.arange(len(images), device=images.device).repeat_interleave(self.count)
        rois = torch.cat([image[:, None].to(boxes), boxes.flatten(0, 1)], 1)
        crops = roi_align(images.float(), rois, side, aligned=True)
        conditions = self.attr_embedding.weight.repeat(len(images), 1)[:, None]  # (B·A)×1×c'
        vectors, _ = self.local_attention(positions_first(self.local_backbone(crops)), conditions)
        return F.normalize(self.local_feature_fc(vectors[:, 0]), dim=-1).unflatten(0, (len(images), self.count))


def attention_boxes(maps: Tensor, size: Sequence[int], threshold: float) -> Tensor:
    """Attentions B×A×h×w -> boxes B×A×4 (left, top, right, bottom) in pixels of a picture of size H, W.

    Upsampled, min-max scaled and thresholded; the bounding box of what is left is squared on its longer side and moved
    into the picture. A side longer than the picture hangs out of it evenly. A constant map (its range is at most
    1e-4 of its maximum) gives the whole picture.
    """
    large = F.interpolate(maps, tuple(size), mode="bilinear", align_corners=False)
    low, high = large.amin((2, 3), keepdim=True), large.amax((2, 3), keepdim=True)
    inside = (large - low >= threshold * (high - low)) | (high - low <= _CONSTANT * high)
    parts = []
    for length, along in ((size[1], inside.any(2)), (size[0], inside.any(3))):
        first = along.int().argmax(-1)
        last = length - along.flip(-1).int().argmax(-1)
        parts.append((first, last))
    (left, right), (top, bottom) = parts
    side = torch.maximum(right - left, bottom - top)
    corners = []
    for length, first, last in ((size[1], left, right), (size[0], top, bottom)):
        start = (first + last - side) / 2
        fitting = torch.minimum(start.clamp(min=0), (length - side).clamp(min=0).to(start))
        corners.append(torch.where(side > length, (length - side) / 2, fitting))
    return torch.stack([corners[0], corners[1], corners[0] + side, corners[1] + side], -1).to(maps)


class ASENppObjective(Objective):
    """L_g; in the second stage L_g + 0.1 L_l + 0.1 Σ(1 − cos(g, l)), the sum over an image's three roles."""

    names = (*Objective.names, "alignment")

    def __init__(self, config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> None:
        super().__init__(config, encoder, positive_weight)
        self.branch_width = encoder.width // 2

    def triplet(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """See `Objective.triplet`: each branch by itself; without a local branch its part is zero."""
        whole, local = zip(*(each.split(self.branch_width, -1) for each in (anchor, positive, negative)), strict=True)
        hinge = super().triplet(*whole)
        if not bool(local[0].any()):
            return hinge
        return hinge + _LOCAL_WEIGHT * super().triplet(*local)

    def extra(self, output: AttributeOutput, carried: Tensor, known: Tensor, counts: Counts) -> dict[str, Tensor]:
        """See `Objective.extra`. Three roles a triplet, so three times the mean over labelled (image, attribute)."""
        whole, local = (F.normalize(part, dim=-1) for part in output.embeddings.float().split(self.branch_width, -1))
        if not bool(local.any()):
            return {"alignment": whole.sum() * 0}
        apart = ((1 - (whole * local).sum(-1)) * known).sum() / max(counts.labels, 1)
        return {"alignment": 3 * _ALIGN_WEIGHT * apart}


ASEN_PP = System(
    "asen_pp",
    "ASEN with a second look at the attended box, in two stages",
    "ASEN++ (TIP 2021)",
    ASENpp,
    ASENppObjective,
    losses=TRIPLET_LOSS,
)
