"""Query vectors: of a picture through the encoder, of an item from its stored embeddings, or of class prototypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from model.checkpoint import Checkpoint
from model.duet import encode
from model.taxonomy import Taxonomy
from pipelines.data.images import ImageLimits, prepare
from pipelines.errors import ModelError, RequestError

from .limits import Limits
from .products import Vector


@dataclass(frozen=True)
class QueryDuet:
    """The duet of one query.

    Args:
        attribute_embeddings: A×D, L2-normalised; a row that nobody asked for may be zero.
        carried: ΣM bool, the predicted classes.
        probabilities: ΣM in [0, 1]; of a stored item only those of its predicted classes are known, the rest is 0.
        class_embeddings: by class index, D each: those predicted and, of a picture, those asked for.
    """

    attribute_embeddings: NDArray[np.float32]
    carried: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    class_embeddings: Mapping[int, Vector]


class EncoderPort(Protocol):
    """Where pictures become duets: in this thread (`CheckpointEncoder`), or batched with other requests' (serve)."""

    def encode(self, image: bytes, classes: Sequence[int]) -> QueryDuet:
        """The duet of an encoded picture, with the embeddings of these classes too. Raises `ImageError`."""
        ...


class CheckpointEncoder:
    """Encodes one picture after the other, in the caller's thread."""

    def __init__(self, checkpoint: Checkpoint, limits: Limits) -> None:
        self._checkpoint, self._limits = checkpoint, image_limits(limits)

    def encode(self, image: bytes, classes: Sequence[int]) -> QueryDuet:
        """See `EncoderPort.encode`."""
        prepared = prepare(image, self._checkpoint.preparation, self._limits)
        return encode_images(self._checkpoint, [prepared], [classes])[0]


def image_limits(limits: Limits) -> ImageLimits:
    """The caps on a query's picture."""
    return ImageLimits(max_bytes=limits.image_bytes, max_pixels=limits.image_pixels)


def check_vectors(what: str, *vectors: NDArray[np.float32], width: int | None = None) -> None:
    """Refuse what would rank by chance (NaN, infinity), ranks everything alike (zero) or cannot be compared (a width).

    Args:
        what: they are, for the message.
        vectors: …×D each.
        width: D; None = whatever they have.

    Raises:
        ModelError: one of them is no vector to compare with.
    """
    for vector in vectors:
        if width is not None and vector.shape[-1] != width:
            raise ModelError(f"{what} has {vector.shape[-1]} numbers, and the index' embeddings have {width}")
        if not np.isfinite(vector).all():
            raise ModelError(f"{what} is not finite; the checkpoint is damaged")
        if not vector.any(axis=-1).all():
            raise ModelError(f"{what} is zero; the checkpoint is damaged")


def check_duet(duet: QueryDuet, width: int | None = None, class_width: int | None = None) -> None:
    """`check_vectors`, of a picture's duet. Raises `ModelError`."""
    what = "the encoder's output for this picture"
    check_vectors(what, duet.attribute_embeddings, width=width)
    check_vectors(what, *duet.class_embeddings.values(), width=class_width)
    if not np.isfinite(duet.probabilities).all():
        raise ModelError(f"{what} is not finite; the checkpoint is damaged")


@torch.inference_mode()
def encode_images(
    checkpoint: Checkpoint, images: Sequence[NDArray[np.uint8]], classes: Sequence[Sequence[int]]
) -> list[QueryDuet]:
    """N prepared pictures, H×W×3 each -> their duets, in one pass through the backbone.

    Args:
        checkpoint: whose encoder is asked.
        images: as `prepare` returns them.
        classes: of each picture the class indices whose embeddings are needed besides those predicted.
    """
    encoder = checkpoint.encoder
    device = next(encoder.parameters()).device
    asked = torch.zeros(len(images), encoder.taxonomy.class_count, dtype=torch.bool)
    for n, wanted in enumerate(classes):
        asked[n, list(wanted)] = True
    duet = encode(encoder, torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(device), also=asked)
    class_embeddings: list[dict[int, Vector]] = [{} for _ in images]
    if duet.class_embeddings is not None:
        vectors = duet.class_embeddings.cpu().numpy()
        for n, index, vector in zip(duet.pairs.image.tolist(), duet.pairs.class_index.tolist(), vectors, strict=True):
            class_embeddings[n][index] = vector
    level = (duet.attribute_embeddings, duet.predicted, duet.probabilities)
    stacked = zip(*(part.cpu().numpy() for part in level), class_embeddings, strict=True)
    return [QueryDuet(*parts) for parts in stacked]


class ClassPrototypes:
    """The class means of a snapshot.

    Args:
        rows: the table ``prototypes``.
        taxonomy: of the snapshot.
    """

    def __init__(self, rows: pa.Table, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._attribute: dict[int, Vector] = {}
        self._class: dict[int, Vector] = {}
        for row in rows.to_pylist():
            if row["count"] > 0:
                index = taxonomy.class_index(row["attribute"], row["class"])
                self._attribute[index] = np.asarray(row["attribute_embedding"], np.float32)
                if row["class_embedding"] is not None:
                    self._class[index] = np.asarray(row["class_embedding"], np.float32)

    def attribute_vector(self, classes: Sequence[int]) -> Vector:
        """Mean direction of some classes of one attribute, in attribute space -> D, L2-normalised."""
        vectors = np.stack([self._look_up(self._attribute, index) for index in classes]).astype(np.float64)
        total = vectors.sum(0)
        check_vectors("the sum of these classes' prototypes", total)
        return (total / np.linalg.norm(total)).astype(np.float32)

    def class_vector(self, index: int) -> Vector:
        """A class in its own space -> D, L2-normalised."""
        return self._look_up(self._class, index)

    def _look_up(self, known: Mapping[int, Vector], index: int) -> Vector:
        attribute, name = self._taxonomy.class_name(index)
        if index not in known:
            message = f"class {name!r} of {attribute!r} has no prototype: no training item carried it"
            raise RequestError("NO_PROTOTYPE", message, "attributes")
        check_vectors(f"the prototype of class {name!r} of {attribute!r}", known[index])
        return known[index]
