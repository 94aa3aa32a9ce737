"""The interface that every system has: one backbone pass, all attributes; class embeddings for chosen pairs."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .errors import EncoderError
from .taxonomy import Taxonomy


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of an encoder; saved in its checkpoint.

    Args:
        system: its name in `model.systems.SYSTEMS`.
        backbone: resnet18, resnet34 or resnet50.
        weights: ``none``, ``imagenet`` or a file of torchvision weights; matters at the start of training only.
        stem: ``standard``, or ``fine`` for small pictures.
        hidden: c', width of the attention spaces; 0 = half of the backbone's channels (512 for ResNet-50).
        threshold: γ in (0, 1), for predicted class sets of multi-label attributes.
        head: of the classes; empty = the system's own.
        dropout: on the attribute embedding before its head, 0..1 (ours; 0 is the papers').
        switches: of that system (`model.system.System.switches`), in any order.
    """

    system: str = "m3net"
    backbone: str = "resnet50"
    weights: str = "none"
    stem: str = "standard"
    hidden: int = 0
    threshold: float = 0.8
    head: str = ""
    dropout: float = 0.0
    switches: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "switches", tuple(sorted(self.switches)))
        if len(set(self.switches)) < len(self.switches):
            raise EncoderError(f"a switch is named twice: {', '.join(self.switches)}")
        if not 0 < self.threshold < 1:
            raise EncoderError(f"threshold γ = {self.threshold} is not in (0, 1)")
        if not 0 <= self.dropout < 1:
            raise EncoderError(f"dropout {self.dropout} is not in [0, 1)")
        if self.hidden < 0:
            raise EncoderError(f"hidden width {self.hidden} is negative")

    @property
    def label(self) -> str:
        """The system with its switches, for tables."""
        return f"{self.system} ({', '.join(self.switches)})" if self.switches else self.system


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
        state: whatever the encoder's class path and its objective need of the forward pass.
        attention: B×A×h×w ≥ 0, where each attribute looks; None for a system that does not attend.
    """

    embeddings: Tensor
    logits: Tensor
    state: tuple[Tensor, ...] = ()
    attention: Tensor | None = None


class Encoder(nn.Module, abc.ABC):
    """images -> attribute embeddings, class logits and, for chosen pairs, class embeddings.

    Attributes:
        config: its settings.
        taxonomy: the attributes and classes that it knows.
        width: D of attribute embeddings.
        class_width: D' of class embeddings; None: it has no class level, and `classes` must not be called.
        class_first: whether a search by picture puts items of the predicted classes first (design 3, "ranking
            protocol"); systems that learn no classes rank by attribute embeddings alone.
        slack: last dimensions of an embedding that only make it a unit vector: in a query they are zero, so that its
            product with an item's embedding leaves them out (`asked`).
        threshold: γ: classes with P > γ are predicted; if none is, the best alone.
        stages: of its training, of as many epochs each.
        stage: 0..stages−1; the trainer sets it.
    """

    config: EncoderConfig
    taxonomy: Taxonomy
    width: int
    class_width: int | None = None
    class_first: bool = True
    slack: int = 0
    threshold: float
    stages: int = 1
    stage: int = 0

    def __init__(self, config: EncoderConfig, taxonomy: Taxonomy) -> None:
        super().__init__()
        self.config, self.taxonomy, self.threshold = config, taxonomy, config.threshold

    @property
    def has_classes(self) -> bool:
        """Whether it has a class level."""
        return self.class_width is not None

    @abc.abstractmethod
    def attributes(self, images: Tensor) -> AttributeOutput:
        """Images B×3×H×W (uint8, or floats in 0..255) -> everything but class embeddings."""

    def classes(self, output: AttributeOutput, pairs: ClassPairs) -> Tensor:
        """Class embeddings K×D' of chosen pairs, not normalised."""
        raise NotImplementedError(f"{type(self).__name__} has no class level")

    def class_attention(self, output: AttributeOutput, pairs: ClassPairs) -> Tensor:
        """Where the classes of chosen pairs look: K×h×w ≥ 0, each sums to 1. Of systems with a class level."""
        raise NotImplementedError(f"{type(self).__name__} has no class level")

    @torch.no_grad()
    def set_centres(self, centres: Tensor) -> None:
        """Take the classes' mean attribute embeddings, ΣM×D, if classes are predicted by them."""

    def rates(self, parameter: str) -> tuple[float, ...]:
        """Factors of the learning rate of a parameter (its name), one for each stage."""
        return (1.0,) * self.stages

    def switched(self, name: str) -> bool:
        """Whether a switch is on."""
        return name in self.config.switches


def asked(embeddings: NDArray[np.float32], slack: int) -> NDArray[np.float32]:
    """Items' embeddings …×D -> what to compare others with where these items are the query: …×D, no slack."""
    if not slack:
        return embeddings
    result = embeddings.copy()
    result[..., -slack:] = 0
    return result


def check_images(images: Tensor) -> Tensor:
    """The same images. Raises `EncoderError` if they are not B×3×H×W."""
    if images.dim() != 4 or images.shape[1] != 3:
        raise EncoderError(f"images must be B×3×H×W; these are {tuple(images.shape)}")
    return images
