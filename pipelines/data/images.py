"""Pictures from strangers: checked, decoded, oriented, in RGB.

Nothing of a file is believed before its header is checked: only JPEG, PNG and WebP are opened, a byte cap and a
pixel cap hold *before* anything is decoded (a 79 kB PNG can have 81 megapixels), and whatever a decoder chokes on
becomes an `ImageError` with a stable code:

=====================  =================================================================
``EMPTY``              no bytes, or a row without a picture
``TOO_LARGE``          more bytes than `ImageLimits.max_bytes`
``TOO_MANY_PIXELS``    more pixels than `ImageLimits.max_pixels`
``UNSUPPORTED_FORMAT`` not JPEG, PNG or WebP
``TRUNCATED``          cut short or damaged
``NOT_FOUND``          no such file below the declared roots
``OUTSIDE_ROOTS``      a location that is not below a declared root
=====================  =================================================================

A picture within the caps may still take 800 MB to decode (50 megapixels of 100 kB), and a server prepares as many
pictures at once as it has threads: of the large ones, `prepare` takes as many at a time as there is room for.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO

import numpy as np
from PIL import Image

from model.errors import ImageError
from model.preparation import ImagePreparation

from .limits import LIMITS, ImageLimits
from .locations import read_image
from .room import PixelRoom

__all__ = ["ImageLimits", "content_hash", "decode", "prepare", "read_image"]

# What Pillow's decoders raise on damaged input, found by fuzzing (tests/pipelines/data/test_images.py).
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
_ORIENTATION_TAG = 0x0112
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset((5, 6, 7, 8))
_LARGE = 4_000_000  # pixels, as they are decoded
_ROOM = PixelRoom(24_000_000)
# Pillow's own blocks of 16 MB stay with malloc, thread by thread, when a large picture is given up.
Image.core.set_block_size(256 * 1024**2)  # type: ignore[attr-defined]


def content_hash(data: bytes) -> str:
    """SHA-256 (hex) of the encoded bytes."""
    return hashlib.sha256(data).hexdigest()


def prepare(data: bytes, preparation: ImagePreparation, limits: ImageLimits = LIMITS) -> np.ndarray:
    """An encoded picture as the encoder's input -> uint8 H×W×3. Raises `ImageError`."""
    with ExitStack() as room:

        def make_room(size: tuple[int, int]) -> None:
            if size[0] * size[1] > _LARGE:
                room.enter_context(_ROOM.taken(size[0] * size[1]))

        return preparation.apply(_decode(data, preparation, limits, make_room))


def decode(data: bytes, target: ImagePreparation | None = None, limits: ImageLimits = LIMITS) -> Image.Image:
    """Decode an encoded picture to an upright RGB one.

    Of an animation the first frame counts; transparency is laid on white; 16 bits per channel become 8.

    Args:
        data: a JPEG, PNG or WebP file.
        target: what the picture is decoded for; a JPEG is then decoded at the smallest of its scales
            (1, 1/2, 1/4, 1/8) that is not below what the target needs.
        limits: caps, checked before decoding.

    Raises:
        ImageError: ``EMPTY``, ``TOO_LARGE``, ``TOO_MANY_PIXELS``, ``UNSUPPORTED_FORMAT`` or ``TRUNCATED``.
    """
    return _decode(data, target, limits, lambda size: None)


def _decode(
    data: bytes, target: ImagePreparation | None, limits: ImageLimits, make_room: Callable[[tuple[int, int]], None]
) -> Image.Image:
    """See `decode`; `make_room` is told once how much will be decoded, before memory is taken for it."""
    kind = _check(data, limits)
    try:
        if kind == "WEBP":
            make_room(_webp_size(data) or (0, 0))
        stream = BytesIO(data)
        image = Image.open(stream, formats=(kind,))
        whole = kind == "JPEG" and not _in_one_scan(image, data, stream.tell())
        _check_pixels(image.size, limits)
        size = image.size
        if kind == "JPEG" and target is not None:
            _draft(image, target)
        if kind != "WEBP":
            make_room(size if whole else image.size)
        image.load()
        return _turn(_to_rgb(image), _orientation(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError("TOO_MANY_PIXELS", str(error)) from error
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError("TRUNCATED", f"the {kind} file is cut short or damaged ({error})") from error


def _in_one_scan(image: Image.Image, data: bytes, read: int) -> bool:
    """Whether a JPEG's first scan, up to whose data Pillow has read, is of all its components and so is the only one.

    Of several scans libjpeg keeps all coefficients, whatever size it is told to decode.
    """
    components = getattr(image, "layers", 0)
    begin = read - 8 - 2 * components
    header = b"\xff\xda" + struct.pack(">HB", 6 + 2 * components, components)
    return not image.info.get("progressive") and begin > 0 and data[begin : begin + len(header)] == header


def _check(data: bytes, limits: ImageLimits) -> str:
    """The format, once size and format are acceptable."""
    if not data:
        raise ImageError("EMPTY", "the picture has no bytes")
    if len(data) > limits.max_bytes:
        raise ImageError("TOO_LARGE", f"the picture has {len(data):,} bytes; at most {limits.max_bytes:,}")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        size = _webp_size(data)  # Pillow allocates a WebP's whole canvas before it tells the size
        if size is None:
            raise ImageError("TRUNCATED", "the WEBP file is cut short or damaged (no size in its header)")
        _check_pixels(size, limits)
        return "WEBP"
    raise ImageError("UNSUPPORTED_FORMAT", f"not a JPEG, PNG or WebP file (it begins with {data[:8]!r})")


def _check_pixels(size: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageError(
            "TOO_MANY_PIXELS", f"the picture has {width}x{height} pixels; at most {limits.max_pixels:,} in all"
        )


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) from the first chunk of a WebP file (RFC 9649, sections 2.5 to 2.7)."""
    chunk, body = data[12:16], data[20:30]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if chunk == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _draft(image: Image.Image, target: ImagePreparation) -> None:
    """Let the JPEG decoder skip the detail that the target has no room for."""
    width, height = image.size
    if _orientation(image) in _SIDEWAYS:
        width, height = target.box(height, width)[::-1]
    else:
        width, height = target.box(width, height)
    image.draft(None, (width, height))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 where there is none or where the EXIF block is damaged."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _DAMAGE:
        return 1  # the picture itself may be fine
    return value if value in _TURN else 1


def _turn(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURN[orientation]) if orientation in _TURN else image


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode that the three formats decode to -> RGB."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip at 255 in some versions
        grey = np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, (255, 255, 255))
        canvas.paste(layer, mask=layer.getchannel("A"))
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")
