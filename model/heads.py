"""Class heads g_n: attribute embedding -> a logit for every class of that attribute (Eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .taxonomy import Taxonomy

KINDS = ("cosine", "mlp", "linear")
_TEMPERATURE = 0.05  # τ: a centre nearer by 0.15 is twenty times as likely


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


class CentreHead(nn.Module):
    """Classes by the nearest centre, for systems that learn no classes (ours; MODC's clusters are these).

    P = softmax over an attribute's classes of cos(u, centre)/τ, given as a logit, so that its sigmoid is P again.
    Nothing in it is trained: the centres are set (`Encoder.set_centres`). A class that was never seen has a centre of
    zero, and is not predicted; where that is all of an attribute's, they are equally likely.

    Args:
        taxonomy: gives the classes their attributes.
        width: D.
    """

    centres: Tensor

    def __init__(self, taxonomy: Taxonomy, width: int) -> None:
        super().__init__()
        self.taxonomy = taxonomy
        self.register_buffer("centres", torch.zeros(taxonomy.class_count, width))

    @torch.no_grad()
    def forward(self, embeddings: Tensor) -> Tensor:
        """Attribute embeddings B×A×D, any norm -> logits B×ΣM, in float32: in half precision 1 − 1e-6 is 1."""
        unit, centres = F.normalize(embeddings.float(), dim=-1), F.normalize(self.centres, dim=-1)
        parts = []
        for n in range(embeddings.shape[1]):
            own = centres[self.taxonomy.span(n)]
            seen = own.any(1)
            with torch.autocast(unit.device.type, enabled=False):
                scores = unit[:, n] @ own.T / _TEMPERATURE
            # The cosine 0 of a zero centre would beat those of all that lie the other way.
            scores = scores.masked_fill(~seen & seen.any(), float("-inf"))
            probability = scores.softmax(1).clamp(1e-6, 1 - 1e-6)
            parts.append(torch.logit(probability))
        return torch.cat(parts, 1)


def class_head(kind: str, width: int, hidden: int, classes: int, dropout: float) -> nn.Module:
    """A head of one attribute, B×D -> B×M, with dropout on its input, 0..1; kind: one of `KINDS`."""
    if kind == "cosine":
        return nn.Sequential(nn.Dropout(dropout), CosineHead(width, classes))
    if kind == "linear":
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
    assert kind == "mlp", kind
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(width, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, classes)
    )


def softmax_logits(scores: Tensor, taxonomy: Taxonomy) -> Tensor:
    """Scores B×ΣM -> logits whose sigmoid is the softmax over each single-label attribute's classes; others stay.

    Those are log p − log(1 − p). Of the likeliest class 1 − p is the sum of the others, which does not cancel.
    """
    parts = []
    for n, attribute in enumerate(taxonomy.attributes):
        part = scores[:, taxonomy.span(n)]
        if not attribute.multi_label and part.shape[1] > 1:
            log_p = part.log_softmax(1)
            likeliest = F.one_hot(part.argmax(1), part.shape[1]).bool()
            others = log_p.masked_fill(likeliest, float("-inf")).logsumexp(1, keepdim=True)
            part = log_p - torch.where(likeliest, others, torch.log1p(-log_p.exp().masked_fill(likeliest, 0)))
        parts.append(part)
    return torch.cat(parts, 1)
