"""Attention by a learned attribute table, as ASEN v2 has it; ASEN++, MODC and AttnFashion build on it.

Written for all attributes at once: with L conditions, keys B×S×c' meet queries L×c' in one product, and ψ is pooled by
the B×L×S attentions in another, so no attended map ever exists.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConditionalAttention(nn.Module):
    """Spatial, then channel attention under a condition (ASEN v2, and without ``norm`` ASEN++).

    α = softmax_s ⟨tanh(BN(T ψ_s)), tanh(W1 a)⟩/√c';  v = Σ_s α_s ψ_s;  output σ(W3 relu(W2' [v; relu(W2 a)])) ⊙ v.
    Sub-modules have the names of the public code: ``attr_transform1`` (W1), ``conv1`` (T), ``img_bn1``,
    ``attr_transform2`` (W2), ``fc1`` (W2'), ``fc2`` (W3).

    Args:
        table: width of a condition a.
        channels: C of ψ.
        hidden: c'.
        norm: whether there is a BatchNorm.
        spatial: without it, v is the mean over positions.
        channel: without it, the output is v.
    """

    def __init__(
        self,
        table: int,
        channels: int,
        hidden: int,
        *,
        norm: bool = True,
        spatial: bool = True,
        channel: bool = True,
    ) -> None:
        super().__init__()
        self.channels, self.hidden, self.spatial, self.channel = channels, hidden, spatial, channel
        if spatial:
            self.attr_transform1 = nn.Linear(table, hidden)
            self.conv1 = nn.Conv2d(channels, hidden, 1)
            self.img_bn1 = nn.BatchNorm2d(hidden) if norm else nn.Identity()
        if channel:
            self.attr_transform2 = nn.Linear(table, table)
            self.fc1 = nn.Linear(channels + table, channels // 2)
            self.fc2 = nn.Linear(channels // 2, channels)

    def forward(self, psi: Tensor, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Positions first, ψ B×S×C -> vectors B×L×C and attentions B×L×S (rows sum to 1).

        ``conditions``: L×table, the same for every image, or B×1×table, one for each.
        """
        attention = self.attend(psi, conditions)
        vectors = attention.to(psi.dtype) @ psi
        return (self.gate(vectors, conditions) if self.channel else vectors), attention

    def attend(self, psi: Tensor, conditions: Tensor) -> Tensor:
        """ψ B×S×C -> B×L×S; 1/S everywhere without spatial attention."""
        if not self.spatial:
            return psi.new_full((len(psi), conditions.shape[-2], psi.shape[1]), 1 / psi.shape[1])
        keys = F.linear(psi, self.conv1.weight[:, :, 0, 0], self.conv1.bias)
        keys = torch.tanh(self.img_bn1(keys.flatten(0, 1)[..., None, None]).view_as(keys))
        queries = torch.tanh(self.attr_transform1(conditions))
        return (keys @ queries.transpose(-1, -2) / self.hidden**0.5).softmax(1).transpose(1, 2)

    def gate(self, vectors: Tensor, conditions: Tensor) -> Tensor:
        """Vectors B×L×C -> gated. W2' [v; q] is computed as its two halves, so that q's is done once a condition."""
        of_vector, of_query = self.fc1.weight.split([self.channels, self.attr_transform2.out_features], 1)
        query = F.linear(torch.relu(self.attr_transform2(conditions)), of_query, self.fc1.bias)
        hidden = torch.relu(F.linear(vectors, of_vector) + query)
        return torch.sigmoid(self.fc2(hidden)) * vectors
