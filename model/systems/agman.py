"""AG-MAN (IEEE Access 2024): attention guided by attributes, on features of two levels.

State dict, with the public code's names where there is one: ``backbone.*`` (there ``backbonenet``; with ``layer4``),
``lift`` (of layer2, to be added to layer3), ``attr_embedding``, ``attr_transform1``, ``conv1``, ``img_bn1``,
``sa.conv1``, ``attr_transform2``, ``fc1``, ``fc2``, ``w``, ``w1``, ``w2``, ``masks``, ``ca.fc1``, ``ca.fc2`` (there 1×1
convolutions: the same weights without the last two dimensions), ``branch`` (there ``backbonenet.fc_embed``; ``lift`` is
``backbonenet.conv1_1``). Ours: ``head.centres``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..encoder import AttributeOutput, Encoder, EncoderConfig, check_images
from ..objective import Counts, Losses, Objective, ObjectiveConfig, Roles
from ..preparation import normalize
from ..system import System
from ..taxonomy import Taxonomy
from .base import AttributeEncoder, Embedding, positions_first
from .triplet import TRIPLET_LOSS

_SQUEEZE = 16
_WEIGHT_RANGE = 3.0  # of a loss weight's logarithm, either way: e^±3 is 20 times more or less
SWITCHES = {
    "without_asa": "the mean over positions instead of attribute-guided spatial attention",
    "without_sa": "no spatial attention of its own",
    "without_aca": "no attribute-guided channel attention",
    "without_ca": "no squeeze-excite (as the public code, which never calls it)",
    "without_mask": "no mask of the embedding (as the paper; the public code has one)",
    "without_hierarchy": "layer3 alone",
    "without_branch": "no classification of attributes",
    "without_weights": "losses weigh alike (as the public code, whose weights are not trained)",
}


class AGMAN(AttributeEncoder):
    """x = conv(w·[layer3; F23]), F23 = layer3 + lift(pool(layer2)); then ASA, SA, sum, ACA, CA, mask; c' wide.

    A condition is a' = σ(W a)·W a. The code's embedding is c' (512) wide, the paper's 1024; here the code's.
    """

    class_first = False

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        branch, hierarchy = ("without_" + part not in config.switches for part in ("branch", "hierarchy"))
        super().__init__(config, taxonomy, deep=branch)
        channels, hidden = self.channels, self.hidden
        self.width = hidden
        if branch:
            self.branch = nn.Linear(2 * channels, self.count)
        if hierarchy:
            self.lift = nn.Conv2d(channels // 2, channels, 1)
        self.attr_embedding = nn.Embedding(self.count, hidden)
        self.conv1 = nn.Conv2d(2 * channels if hierarchy else channels, hidden, 1)
        self.w = nn.Parameter(torch.ones(1))
        if not self.switched("without_asa"):
            self.attr_transform1 = nn.Linear(hidden, hidden)
            self.img_bn1 = nn.BatchNorm2d(hidden)
            self.w1 = nn.Parameter(torch.ones(1))
        if not self.switched("without_sa"):
            self.sa = nn.ModuleDict({"conv1": nn.Conv2d(2, 1, 7, padding=3, bias=False)})
        if not self.switched("without_aca"):
            self.attr_transform2 = nn.Linear(hidden, hidden)
            self.fc1 = nn.Linear(2 * hidden, hidden)
            self.fc2 = nn.Linear(hidden, hidden)
            self.w2 = nn.Parameter(torch.ones(1))
        if not self.switched("without_ca"):
            squeezed = max(1, hidden // _SQUEEZE)
            layers = {"fc1": nn.Linear(hidden, squeezed, bias=False), "fc2": nn.Linear(squeezed, hidden, bias=False)}
            self.ca = nn.ModuleDict(layers)
        if not self.switched("without_mask"):
            own = torch.arange(hidden) // max(1, hidden // self.count) == torch.arange(self.count)[:, None]
            self.masks = nn.Embedding.from_pretrained(torch.where(own, 1.0, 0.1), freeze=False)
        self.centre_head()

    def attributes(self, images: Tensor) -> AttributeOutput:
        """See `Encoder.attributes`; the state is the branch's logits B×A, if there is one."""
        low, psi = self.backbone.levels(normalize(check_images(images)))
        both = psi
        if hasattr(self, "lift"):
            # Of an odd layer2 the pool is one wider than layer3: its last row or column goes.
            lifted = self.lift(F.max_pool2d(low, 3, 2, 1))[..., : psi.shape[2], : psi.shape[3]]
            both = psi + lifted
        x = self.conv1(self.w * (torch.cat([psi, both], 1) if hasattr(self, "lift") else psi))
        if not hasattr(self, "branch"):
            return self.output(self.embed(x), x)
        deep: Tensor = self.backbone.layer4(both)
        return self.output(self.embed(x), x, self.branch(deep.mean((2, 3))))

    def embed(self, psi: Tensor) -> Embedding:
        """See `AttributeEncoder.embed`; here of x, B×c'×h×w."""
        x = positions_first(psi)
        weights = attention = self._asa(x)
        if hasattr(self, "w1"):
            weights = weights * self.w1
        if hasattr(self, "sa"):
            weights = weights * self._sa(x, weights, psi.shape[2:])
        vectors = weights.to(x.dtype) @ x
        if hasattr(self, "fc1"):
            vectors = self.w2 * self._gate(vectors) * vectors
        if hasattr(self, "ca"):
            vectors = torch.sigmoid(self.ca["fc2"](F.leaky_relu(self.ca["fc1"](vectors)))) * vectors
        if hasattr(self, "masks"):
            vectors = vectors * torch.relu(self.masks.weight)
        return Embedding(vectors, attention)

    def _asa(self, x: Tensor) -> Tensor:
        """X B×S×c' -> B×A×S."""
        if not hasattr(self, "w1"):
            return x.new_full((len(x), self.count, x.shape[1]), 1 / x.shape[1])
        keys = torch.tanh(self.img_bn1(x.flatten(0, 1)[..., None, None]).view_as(x))
        queries = F.silu(self.attr_transform1(self.attr_embedding.weight))
        return (keys @ queries.T / self.hidden**0.5).softmax(1).transpose(1, 2)

    def _sa(self, x: Tensor, weights: Tensor, size: torch.Size) -> Tensor:
        """σ(conv[mean_c; max_c]) of every attribute's weighted map, which need not exist: B×A×S.

        max_c(w·x) = w·max_c(x) for w ≥ 0, and w·min_c(x) below.
        """
        mean, high, low = (part[:, None] for part in (x.mean(2), x.amax(2), x.amin(2)))
        largest = weights * torch.where(weights >= 0, high, low)
        planes = torch.stack([weights * mean, largest], 2).unflatten(3, size).flatten(0, 1)
        return torch.sigmoid(self.sa["conv1"](planes)).flatten(1).view_as(weights)

    def _gate(self, vectors: Tensor) -> Tensor:
        of_vector, of_query = self.fc1.weight.split(self.hidden, 1)
        query = F.silu(self.attr_transform2(self.attr_embedding.weight))
        hidden = F.linear(vectors, of_vector) + F.linear(query, of_query, self.fc1.bias)
        return torch.sigmoid(self.fc2(torch.relu(hidden)))


class AGMANObjective(Objective):
    """Σ_i ½ e^{−w_i} L_i + ½ w_i over the triplet loss and the branch's BCE, w_i learned from 0.

    As printed, ½ e^{w_i} L_i + w_i has no minimum: it falls for ever with w_i. The signs here are those of the paper's
    source (Kendall et al., CVPR 2018), and equal to the printed ones at w = 0. As L_i goes to 0 its weight would grow
    without end (at best w_i = log L_i), so w_i here is 3·tanh(parameter/3), within ±3 (ours).

    The branch tells which attributes an image is labelled for: on FashionAI, where that is one, the attribute that it
    was sampled for. Where every image is labelled for every attribute, its target never changes and it teaches nothing.
    """

    names = (*Objective.names, "branch", "weights")

    def __init__(self, config: ObjectiveConfig, encoder: Encoder, positive_weight: Tensor | None = None) -> None:
        super().__init__(config, encoder, positive_weight)
        self.has_branch = not encoder.switched("without_branch")
        self.log_variance = nn.Parameter(torch.zeros(2), requires_grad=not encoder.switched("without_weights"))  # w

    def forward(
        self, encoder: Encoder, output: AttributeOutput, carried: Tensor, known: Tensor, roles: Roles, counts: Counts
    ) -> Losses:
        """See `Objective.forward`."""
        losses = super().forward(encoder, output, carried, known, roles, counts)
        factors = 0.5 * torch.exp(-self.bounded())
        terms = dict(losses.terms)
        terms["instance"] = factors[0] * terms["instance"]
        terms["branch"] = factors[1] * terms["branch"]
        return Losses(terms, losses.prototype_sums, losses.prototype_counts)

    def extra(self, output: AttributeOutput, carried: Tensor, known: Tensor, counts: Counts) -> dict[str, Tensor]:
        """See `Objective.extra`."""
        share = len(known) / counts.images
        terms = {"branch": output.embeddings.new_zeros((), dtype=torch.float32)}
        if self.has_branch:
            terms["branch"] = share * F.binary_cross_entropy_with_logits(output.state[0].float(), known.float())
        return {**terms, "weights": share * 0.5 * self.bounded()[: 1 + self.has_branch].sum()}

    def bounded(self) -> Tensor:
        """w, 2, within ±3. A hard limit would have no gradient beyond it, and hold w there for good."""
        return _WEIGHT_RANGE * torch.tanh(self.log_variance / _WEIGHT_RANGE)


AGMAN_SYSTEM = System(
    "agman",
    "attribute-guided attention on features of two levels",
    "AG-MAN (IEEE Access 2024)",
    AGMAN,
    AGMANObjective,
    losses=TRIPLET_LOSS,
    switches=SWITCHES,
)
