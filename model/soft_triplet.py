"""FashionSearchNet's soft triplet loss, for its attributes and for its global space."""

from __future__ import annotations

import torch
from torch import Tensor

# Of distances. The paper's vectors have any length, so that its network chooses how sharp the softmax is; those of unit
# vectors are 2 at most, and a softmax of 0 and 2 is still 0.88: the loss would never let go of what is right already.
SCALE = 3.0


def soft_triplet(near: Tensor, far: Tensor) -> Tensor:
    """(d+)², d± = softmax of the two distances, each times `SCALE`.

    Args:
        near: distances to the positives, of unit vectors: 0..2.
        far: to the negatives.
    """
    return torch.sigmoid(SCALE * (near - far)).square()
