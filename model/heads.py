"""Class heads g_n: attribute embedding -> a logit for every class of that attribute (Eq. 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Head = Literal["cosine", "mlp"]
HEADS: tuple[Head, ...] = ("cosine", "mlp")


class CosineHead(nn.Module):
    """logit_m = s·cos(u, w_m) + b_m (ours; the paper's g_n is an MLP).

    Items are searched by the cosine of their attribute embeddings. Learning the classes through that same cosine
    orders the space by them; behind an MLP it may stay ordered by whatever else a picture shows
    (docs/results/products.md has the difference).

    Args:
        width: D of the embedding.
        classes: M.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, width) / width**0.5)  # w
        self.scale = nn.Parameter(torch.tensor(10.0))  # s
        self.bias = nn.Parameter(torch.full((classes,), -2.0))  # b: at first, every class is unlikely

    def forward(self, embeddings: Tensor) -> Tensor:
        """U B×D, any norm -> logits B×M."""
        cosine = F.linear(F.normalize(embeddings, dim=-1), F.normalize(self.weight, dim=-1))
        return self.scale * cosine + self.bias


def class_head(kind: Head, width: int, hidden: int, classes: int, dropout: float) -> nn.Module:
    """A head with dropout on its input, 0..1."""
    if kind == "cosine":
        return nn.Sequential(nn.Dropout(dropout), CosineHead(width, classes))
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, classes)
    )
