"""Pictures of a chunk, decoded by several threads: the encoder's input and the thumbnail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageError
from model.preparation import ImagePreparation
from pipelines.data.images import decode

_QUALITY = 85  # of the thumbnails' JPEG


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Args:
        pixels: uint8 H×W×3, prepared for the encoder.
        thumbnail: JPEG; None where none is wanted.
    """

    pixels: NDArray[np.uint8]
    thumbnail: bytes | None


def decode_pictures(
    images: Sequence[bytes], preparation: ImagePreparation, thumbnail_size: int, threads: Executor
) -> Iterator[Picture | ImageError]:
    """Decode pictures in order; all are begun at once, so that the threads run ahead of whoever consumes them."""
    return threads.map(lambda image: _decode(image, preparation, thumbnail_size), images)


def _decode(data: bytes, preparation: ImagePreparation, thumbnail_size: int) -> Picture | ImageError:
    try:
        image = decode(data, preparation)
    except ImageError as error:
        return error
    pixels = preparation.apply(image)
    if not thumbnail_size:
        return Picture(pixels, None)
    if min(preparation.height, preparation.width) < thumbnail_size:
        image = decode(data)  # it was decoded at a scale for a small encoder's input
    return Picture(pixels, _thumbnail(image, thumbnail_size))


def _thumbnail(image: Image.Image, size: int) -> bytes:
    small = image.copy()
    small.thumbnail((size, size), Image.Resampling.BILINEAR)
    stream = BytesIO()
    small.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
