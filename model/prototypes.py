"""Prototypes: the mean representation of each class.

Two uses: the objective pulls class embeddings to a moving average (`MovingPrototypes`, Eq. 8 of M3-Net), and a
finished encoder stores the plain means over its training set (`Prototypes`), as query vectors without a picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Prototypes:
    """L2-normalised class means of a training set; a class never seen has a zero vector and count 0.

    Attributes:
        attribute: ΣM×D, mean attribute embedding of the items that carry the class.
        class_level: ΣM×D', mean class embedding; None for an encoder without a class level.
        counts: ΣM, items that carry the class.
    """

    attribute: Tensor
    class_level: Tensor | None
    counts: Tensor


class MovingPrototypes(nn.Module):
    """Moving average of L2-normalised, detached class embeddings; float32 whatever the precision of training.

    A step reads the prototypes as the step before left them, so the anchor's own share is out; then `update`
    adds the sums of the *global* batch, which makes the result independent of how it is sharded.

    Args:
        classes: ΣM.
        width: D.
        momentum: share of the old average that stays, in [0, 1).
    """

    average: Tensor
    seen: Tensor

    def __init__(self, classes: int, width: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("average", torch.zeros(classes, width))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))

    def forward(self) -> Tensor:
        """ΣM×D, L2-normalised (zero where a class was never seen)."""
        return F.normalize(self.average, dim=-1)

    @torch.no_grad()
    def batch_sums(self, embeddings: Tensor, class_index: Tensor) -> tuple[Tensor, Tensor]:
        """Sums ΣM×D and counts ΣM of K class embeddings (any norm) with their class indices."""
        unit = F.normalize(embeddings.detach().float(), dim=-1)
        sums = torch.zeros_like(self.average).index_add_(0, class_index, unit)
        return sums, torch.bincount(class_index, minlength=len(sums)).float()

    @torch.no_grad()
    def update(self, sums: Tensor, counts: Tensor) -> None:
        """Move towards the batch's means. ``sums`` and ``counts`` must be those of the whole global batch."""
        present = counts > 0
        mean = sums / counts.clamp(min=1)[:, None]
        keep = torch.where(self.seen, self.momentum, 0.0)[:, None]
        self.average.copy_(torch.where(present[:, None], keep * self.average + (1 - keep) * mean, self.average))
        self.seen |= present
