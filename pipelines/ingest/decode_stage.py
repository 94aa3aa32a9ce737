"""Decoding as a stage of its own, for encoders on a GPU: chunks with pictures -> chunks with pixels."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from model.errors import ImageError
from model.preparation import ImagePreparation

from .chunk import Action
from .pictures import decode_pictures
from .transport import pack, unpack


def decode_chunk(packed: pa.Table, preparation: ImagePreparation, thumbnail_size: int) -> pa.Table:
    """Put pixels (H·W·3 bytes) and thumbnail in the place of each picture, or the code of its refusal.

    Args:
        packed: a chunk (of `transport.pack`).
        preparation: of the encoder's input.
        thumbnail_size: longest side in pixels; 0 = none.
    """
    sequence, rows, report = unpack(packed)
    began = time.perf_counter()
    pixels: list[bytes | None] = []
    thumbnails, codes, messages = (rows[name].to_pylist() for name in ("thumbnail", "code", "message"))
    pending = [action in (Action.NEW, Action.CHANGED) for action in rows["action"].to_pylist()]
    images = [image.as_py() for image, wanted in zip(rows["image"], pending, strict=True) if wanted]
    with ThreadPoolExecutor(1) as thread:  # Ray runs as many of these stages as there are CPUs
        pictures = decode_pictures(images, preparation, thumbnail_size, thread)
        for number, wanted in enumerate(pending):
            picture = next(pictures) if wanted else None
            pixels.append(None)
            if isinstance(picture, ImageError):
                codes[number], messages[number] = picture.code, str(picture)
            elif picture is not None:
                pixels[-1], thumbnails[number] = picture.pixels.tobytes(), picture.thumbnail
    replaced = {
        "thumbnail": pa.array(thumbnails, rows.schema.field("thumbnail").type),
        "code": pa.array(codes, pa.string()),
        "message": pa.array(messages, pa.string()),
        "pixels": pa.array(pixels, pa.large_binary()),
    }
    for name, column in replaced.items():
        place = rows.column_names.index(name) if name in rows.column_names else None
        rows = rows.append_column(name, column) if place is None else rows.set_column(place, name, column)
    report.spend("decode", time.perf_counter() - began)
    return pack(sequence, rows.drop_columns(["image"]), report)
