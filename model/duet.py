"""The duet of a batch: attribute embeddings, class probabilities, and the embeddings of its likely classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .encoder import ClassPairs, Encoder
from .taxonomy import Taxonomy


@dataclass(frozen=True)
class Duet:
    """Both granularities for a batch.

    Attributes:
        attribute_embeddings: B×A×D, L2-normalised.
        probabilities: B×ΣM in [0, 1].
        predicted: B×ΣM bool.
        pairs: the K (image, class) pairs that are predicted or were asked for, sorted by image, then class index.
        class_embeddings: K×D, L2-normalised; None if the encoder has no class level.
    """

    attribute_embeddings: Tensor
    probabilities: Tensor
    predicted: Tensor
    pairs: ClassPairs
    class_embeddings: Tensor | None


def predicted_classes(probabilities: Tensor, taxonomy: Taxonomy, threshold: float) -> Tensor:
    """P B×ΣM -> B×ΣM bool: classes with P > γ, or the best one alone where none is (ours).

    A single-label attribute has exactly one class, so there the best one alone is always predicted (ours).
    """
    chosen = torch.zeros_like(probabilities, dtype=torch.bool)
    for n, attribute in enumerate(taxonomy.attributes):
        part = probabilities[:, taxonomy.span(n)]
        best = F.one_hot(part.argmax(1), part.shape[1]).bool()
        if attribute.multi_label:
            above = part > threshold
            chosen[:, taxonomy.span(n)] = torch.where(above.any(1, keepdim=True), above, best)
        else:
            chosen[:, taxonomy.span(n)] = best
    return chosen


@torch.inference_mode()
def encode(encoder: Encoder, images: Tensor, threshold: float | None = None, also: Tensor | None = None) -> Duet:
    """Images B×3×H×W (uint8, or floats in 0..255) -> their duet, in evaluation mode, float32.

    Args:
        encoder: must be in ``eval()`` mode, so that a batch of one equals a batch of many.
        images: on the encoder's device.
        threshold: γ, in place of the encoder's own.
        also: B×ΣM bool, classes whose embeddings are needed whether they are predicted or not.
    """
    assert not encoder.training, "call encoder.eval() first"
    output = encoder.attributes(images)
    probabilities = torch.sigmoid(output.logits.float())
    predicted = predicted_classes(
        probabilities, encoder.taxonomy, encoder.threshold if threshold is None else threshold
    )
    chosen = predicted if also is None else predicted | also.to(predicted.device)
    pairs = ClassPairs(*chosen.nonzero(as_tuple=True))
    embeddings = F.normalize(output.embeddings.float(), dim=-1)
    classes = F.normalize(encoder.classes(output, pairs).float(), dim=-1) if encoder.has_classes else None
    return Duet(embeddings, probabilities, predicted, pairs, classes)
