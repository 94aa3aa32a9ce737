"""Attention modules of M3-Net (§3.2): spatial (SCA) and channel (CCA), conditioned on a label.

Both are written for *weights instead of maps*: SCA returns its attention over positions, and the caller pools
ψ with it. T(α⊙ψ) = α⊙(Wψ), so no attended feature map ever has to exist (design 2, trap e). T has no bias (ours):
the norm behind it takes a constant away, and Adam would make a random walk of the rounding that is its gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpatialAttention(nn.Module):
    """SCA(x, l) over L labels: p1 = tanh(BN(T x)), p2 = tanh(W1 E1(l)), α = softmax_s ⟨p1_s, p2⟩/√c'.

    Args:
        labels: L, the number of conditions.
        channels: c of the map.
        hidden: c', width of the common space.
    """

    def __init__(self, labels: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.project = nn.Conv2d(channels, hidden, 1, bias=False)  # T
        self.norm = nn.BatchNorm2d(hidden)
        self.embedding = nn.Embedding(labels, hidden)  # E1
        self.query = nn.Linear(hidden, hidden)  # W1

    def queries(self) -> Tensor:
        """p2 of every label: L×c'."""
        return torch.tanh(self.query(self.embedding.weight))

    def forward(self, psi: Tensor) -> Tensor:
        """ψ B×S×C, positions first -> attention of every label over the positions, B×L×S, each row sums to 1."""
        keys = torch.tanh(_norm(self.norm, F.linear(psi, self.project.weight[:, :, 0, 0])))
        scores = keys @ self.queries().T / self.hidden**0.5  # p1·p2: B×S×L
        return scores.softmax(1).transpose(1, 2)


class ClassSpatialAttention(nn.Module):
    """SCA-C_n of all attributes at once; its input is φ_n = S·α_n⊙ψ, which is never materialised.

    φ_n is scaled by S (ours): α_n is about 1/S, T would see values far below the ε of its BatchNorm, and class
    attention would never leave uniform (design 2, trap a).

    Args:
        sizes: M_n, classes of each attribute.
        channels: c of the map.
        hidden: c'.
    """

    def __init__(self, sizes: tuple[int, ...], channels: int, hidden: int) -> None:
        super().__init__()
        self.sizes, self.hidden = sizes, hidden
        attributes = len(sizes)
        self.project = nn.Conv2d(channels, attributes * hidden, 1, bias=False)  # T_n, stacked over n
        self.norm = nn.BatchNorm2d(attributes * hidden)
        self.embedding = nn.Embedding(sum(sizes), hidden)  # E1 of every class
        self.query = nn.ModuleList(nn.Linear(hidden, hidden) for _ in sizes)  # W1 of every attribute

    def queries(self) -> Tensor:
        """p2 of every class: ΣM×c'."""
        tables = self.embedding.weight.split(self.sizes)
        return torch.cat([torch.tanh(query(table)) for query, table in zip(self.query, tables, strict=True)])

    def forward(self, psi: Tensor, attention: Tensor | None) -> Tensor:
        """ψ B×S×C and attribute attention α B×A×S (None: φ_n = ψ) -> α of every class over positions, B×ΣM×S."""
        keys = torch.tanh(self._keys(psi, attention)).split(self.hidden, 2)  # p1: B×S×c' of every n
        queries = self.queries().split(self.sizes)
        scores = [key @ query.T for key, query in zip(keys, queries, strict=True)]
        return (torch.cat(scores, 2) / self.hidden**0.5).softmax(1).transpose(1, 2)

    def _keys(self, psi: Tensor, attention: Tensor | None) -> Tensor:
        """BN(T_n φ_n) of all n, B×S×(A·c'): T(α⊙ψ) = α⊙(Wψ), one product for all attributes."""
        weight, norm = self.project.weight[:, :, 0, 0], self.norm
        share = None if attention is None else (attention * attention.shape[-1]).transpose(1, 2)[..., None]  # B×S×A×1
        shape = (len(self.sizes), self.hidden)
        if self.training:
            keys = F.linear(psi, weight)
            return _norm(norm, keys if share is None else (keys.unflatten(2, shape) * share.to(keys.dtype)).flatten(2))
        # The norm is affine here, and goes into W and a bias.
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        bias = norm.bias - mean * scale
        if share is None:
            return F.linear(psi, weight * scale[:, None], bias)
        keys = F.linear(psi, weight * scale[:, None]).unflatten(2, shape)
        return torch.addcmul(bias.view(shape).to(keys.dtype), keys, share.to(keys.dtype)).flatten(2)


def _norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """BatchNorm2d over B×S×C, as (B·S)×C×1×1.

    Not as B×C×S×1: for that view of a positions-first tensor, torch 2.15's CPU kernel returns wrong gradients.
    """
    return norm(x.flatten(0, 1)[..., None, None]).view_as(x)


class ChannelAttention(nn.Module):
    """CCA(v, l): q2 = relu(W2 E2(l)), β = σ(W4 relu(W3 [v; q2])), output β⊙v.

    Args:
        labels: L, the number of conditions.
        channels: c of v.
        hidden: c'.
    """

    def __init__(self, labels: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.channels = channels
        self.embedding = nn.Embedding(labels, hidden)  # E2
        self.query = nn.Linear(hidden, hidden)  # W2
        self.reduce = nn.Linear(channels + hidden, hidden)  # W3
        self.expand = nn.Linear(hidden, channels)  # W4

    def forward(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """Vectors …×C and the label of each (integers, broadcast against …) -> β⊙v, …×C.

        W3 [v; q2] is computed as its two halves, so that q2's half is done once per label.
        """
        weight_v, weight_q = self.reduce.weight.split([self.channels, self.embedding.embedding_dim], 1)
        conditions = F.linear(torch.relu(self.query(self.embedding.weight)), weight_q, self.reduce.bias)
        hidden = torch.relu(F.linear(vectors, weight_v) + conditions[labels])
        return torch.sigmoid(self.expand(hidden)) * vectors
