"""The interface that every system has: one backbone pass, all attributes; class embeddings for chosen pairs."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from torch import Tensor, nn

from .taxonomy import Taxonomy


@dataclass(frozen=True)
class ClassPairs:
    """Chosen (image, class) pairs, K of them, in any order.

    Attributes:
        image: K integers, the image's position in the batch.
        class_index: K integers, class indices 0..ΣM−1 of the taxonomy.
    """

    image: Tensor
    class_index: Tensor

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class AttributeOutput:
    """What an encoder says of a batch before any class is chosen.

    Attributes:
        embeddings: B×A×D attribute embeddings, not normalised.
        logits: B×ΣM class logits; P = sigmoid.
        state: whatever the encoder's class path needs of the forward pass.
    """

    embeddings: Tensor
    logits: Tensor
    state: tuple[Tensor, ...]


class Encoder(nn.Module, abc.ABC):
    """images -> attribute embeddings, class logits and, for chosen pairs, class embeddings.

    Attributes:
        taxonomy: the attributes and classes that it knows.
        width: D of attribute and class embeddings.
        has_classes: whether it has a class level; without one, `classes` must not be called.
        threshold: γ: classes with P > γ are predicted; if none is, the best alone.
    """

    taxonomy: Taxonomy
    width: int
    has_classes: bool
    threshold: float

    @abc.abstractmethod
    def attributes(self, images: Tensor) -> AttributeOutput:
        """Images B×3×H×W (uint8, or floats in 0..255) -> everything but class embeddings."""

    @abc.abstractmethod
    def classes(self, output: AttributeOutput, pairs: ClassPairs) -> Tensor:
        """Class embeddings K×D of chosen pairs, not normalised."""
