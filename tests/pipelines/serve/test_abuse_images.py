"""The table of abuse: pictures. What is refused, and that what is odd is searched with as the plain picture of it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from pipelines.rpc.duet.v1 import search_pb2

from .abuse import Outcome, call, invalid, outcome
from .shop import picture

pytestmark = pytest.mark.usefixtures("on_loopback", "then_served")

PLAIN = Image.open(BytesIO(picture(3))).convert("RGB")
GREY = PLAIN.convert("L")
ORIENTATION = 0x0112


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *more: bytes, depth: int = 8, colours: int = 0) -> bytes:
    """A PNG by hand, with more chunks before its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def webp_canvas(width: int, height: int) -> bytes:
    """The head of an animated WebP that claims a canvas."""
    body = b"\x02\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frames = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    data = b"WEBPVP8X" + struct.pack("<I", len(body)) + body + frames
    return b"RIFF" + struct.pack("<I", len(data)) + data


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://192.0.2.1/x.png"/></svg>'
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
REFUSED: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "EMPTY"),
    "one byte": (b"\xff", "UNSUPPORTED_FORMAT"),
    "half a JPEG": (saved(PLAIN, "JPEG")[:-300], "TRUNCATED"),
    "a JPEG's head": (saved(PLAIN, "JPEG")[:30], "TRUNCATED"),
    "half a PNG": (saved(PLAIN)[:-60], "TRUNCATED"),
    "a PNG's head": (saved(PLAIN)[:20], "TRUNCATED"),
    "half a WebP": (saved(PLAIN, "WEBP")[:-60], "TRUNCATED"),
    "a WebP's head": (saved(PLAIN, "WEBP")[:16], "TRUNCATED"),
    "garbage after a JPEG's head": (saved(PLAIN, "JPEG")[:40] + b"\x00garbage\xff" * 50, "TRUNCATED"),
    "garbage after a PNG's signature": (b"\x89PNG\r\n\x1a\n" + b"garbage!" * 50, "TRUNCATED"),
    "garbage after a WebP's signature": (b"RIFF\x10\0\0\0WEBP" + b"garbage!" * 50, "TRUNCATED"),
    "GIF": (saved(PLAIN, "GIF"), "UNSUPPORTED_FORMAT"),
    "BMP": (saved(PLAIN, "BMP"), "UNSUPPORTED_FORMAT"),
    "TIFF": (saved(PLAIN, "TIFF"), "UNSUPPORTED_FORMAT"),
    "ICO": (saved(PLAIN, "ICO"), "UNSUPPORTED_FORMAT"),
    "EPS, which Ghostscript would run": (saved(PLAIN, "EPS"), "UNSUPPORTED_FORMAT"),
    "SVG, which would fetch": (SVG, "UNSUPPORTED_FORMAT"),
    "PDF": (PDF, "UNSUPPORTED_FORMAT"),
    "plain text": (b"a red dress, please", "UNSUPPORTED_FORMAT"),
    "a location": (b"file:///etc/passwd", "UNSUPPORTED_FORMAT"),
    "a sound in RIFF": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "UNSUPPORTED_FORMAT"),
    "a PNG of 10^10 pixels": (png(100_000, 100_000, bytes(100)), "TOO_MANY_PIXELS"),
    "a PNG of 81 megapixels, all there": (png(9000, 9000, bytes(1126 * 9000), depth=1), "TOO_MANY_PIXELS"),
    "a PNG of 2^31 columns": (png(2**31 - 1, 1, b""), "TOO_MANY_PIXELS"),
    "a WebP of 2^28 pixels": (webp_canvas(2**14, 2**14), "TOO_MANY_PIXELS"),
    "a JPEG of 65,500 lines": (
        saved(Image.new("L", (8, 8)), "JPEG").replace(b"\0\x08\0\x08", b"\xff\xdc\xff\xdc"),
        "TOO_MANY_PIXELS",
    ),
    "a PNG of no columns": (png(0, 10, b""), "TRUNCATED"),
    "a text of 60 MB in a PNG": (
        png(8, 8, bytes(72), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(60_000_000)))),
        "TRUNCATED",
    ),
    "a profile of 60 MB in a PNG": (
        png(8, 8, bytes(72), chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(60_000_000)))),
        "TRUNCATED",
    ),
    "more bytes than the limit": (saved(PLAIN, "JPEG") + bytes(20_000_000), "TOO_LARGE"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(channel: grpc.Channel, name: str) -> None:
    data, code = REFUSED[name]
    expected = invalid(f"IMAGE_{code}", "image")
    assert outcome(channel, "Search", search_pb2.SearchRequest(image=data)) == expected
    assert outcome(channel, "Embed", search_pb2.EmbedRequest(image=data)) == expected


def rotated(kind: str, orientation: int = 6) -> bytes:
    """The plain picture, stored lying on its side, with the note to turn it."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turn = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 3: Image.Transpose.ROTATE_180}[orientation]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    return saved(PLAIN.transpose(turn), kind, exif=exif, **lossless)


def animated(kind: str) -> bytes:
    lossless = {"lossless": True} if kind == "WEBP" else {}
    others = [Image.new("RGB", PLAIN.size, colour) for colour in ("red", "blue")]
    return saved(PLAIN, kind, save_all=True, append_images=others, duration=100, **lossless)


def palette() -> tuple[bytes, Image.Image]:
    """A palette of which one colour is transparent; on white that is white."""
    quantised = PLAIN.quantize(8)
    plain = np.array(quantised.convert("RGB"))
    plain[np.asarray(quantised) == 2] = 255
    return saved(quantised, transparency=2), Image.fromarray(plain)


def grey_alpha() -> tuple[bytes, Image.Image]:
    """Grey, the left half of it transparent."""
    alpha = Image.new("L", GREY.size, 255)
    alpha.paste(0, (0, 0, 20, 48))
    plain = GREY.convert("RGB")
    plain.paste((255, 255, 255), (0, 0, 20, 48))
    return saved(Image.merge("LA", (GREY, alpha))), plain


def grey_16() -> tuple[bytes, Image.Image]:
    """16 bits, of which the upper 8 count."""
    values = np.asarray(GREY, np.uint16) << 8 | 0x7F
    return saved(Image.fromarray(values)), GREY.convert("RGB")


def rgb_16() -> tuple[bytes, Image.Image]:
    values = np.asarray(PLAIN, np.uint16) << 8 | 0x7F
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(*PLAIN.size, rows, depth=16, colours=2), PLAIN


def cmyk() -> tuple[bytes, Image.Image]:
    """A CMYK JPEG, and what its pixels are in RGB by Pillow's plain formula: `convert` without profiles."""
    data = saved(PLAIN.convert("CMYK"), "JPEG", quality=95)
    return data, Image.open(BytesIO(data)).convert("RGB")


def through(kind: str, **options: Any) -> tuple[bytes, Image.Image]:
    """A lossy file, and its own pixels."""
    data = saved(PLAIN, kind, **options)
    return data, Image.open(BytesIO(data)).convert("RGB")


# What is sent, and the plain RGB picture that it is of: with that as PNG the answer is exactly the same.
SAME: dict[str, Callable[[], tuple[bytes, Image.Image]]] = {
    "JPEG": lambda: through("JPEG"),
    "progressive JPEG": lambda: through("JPEG", progressive=True),
    "WebP": lambda: through("WEBP"),
    "CMYK JPEG": cmyk,
    "16-bit grey PNG": grey_16,
    "16-bit RGB PNG": rgb_16,
    "palette PNG with transparency": palette,
    "grey PNG with alpha": grey_alpha,
    "grey PNG": lambda: (saved(GREY), GREY.convert("RGB")),
    "PNG of one bit": lambda: (saved(GREY.convert("1")), GREY.convert("1").convert("RGB")),
    "animated WebP": lambda: (animated("WEBP"), PLAIN),
    "animated PNG": lambda: (animated("PNG"), PLAIN),
    "PNG on its side": lambda: (rotated("PNG"), PLAIN),
    "PNG on its other side": lambda: (rotated("PNG", 8), PLAIN),
    "WebP on its head": lambda: (rotated("WEBP", 3), PLAIN),
    "PNG with more behind it": lambda: (saved(PLAIN) + b"<script>" * 100, PLAIN),
    "PNG with a damaged EXIF block": lambda: (saved(PLAIN, exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), PLAIN),
    "1x1": lambda: (saved(PLAIN.resize((1, 1)), "PNG", optimize=True), PLAIN.resize((1, 1))),
    "1x20000 in a palette": lambda: tall(),
}


def tall() -> tuple[bytes, Image.Image]:
    image = PLAIN.resize((1, 20_000)).quantize(16)
    return saved(image), image.convert("RGB")


@pytest.mark.parametrize("name", SAME)
def test_as_the_plain_picture(channel: grpc.Channel, name: str) -> None:
    data, plain = SAME[name]()
    odd, same = (embedded(channel, one) for one in (data, saved(plain)))
    np.testing.assert_allclose(odd, same, atol=2e-6, rtol=0)  # sums of float32, in batches of one or of several
    ranked = [ranking(channel, one) for one in (data, saved(plain))]
    assert ranked[0] == ranked[1] and len(ranked[0]) == 20


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_lossy_picture_on_its_side(channel: grpc.Channel, kind: str) -> None:
    """JPEG and WebP round what they store, in blocks that lie otherwise in a turned picture: near, not equal.

    The upright file of the same kind differs from the PNG by as much, so that is the bound.
    """
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = saved(PLAIN.transpose(Image.Transpose.ROTATE_90), kind, exif=exif, quality=90)
    plain, upright, turned = (embedded(channel, one) for one in (saved(PLAIN), saved(PLAIN, kind, quality=90), data))
    unturned = embedded(channel, saved(PLAIN.transpose(Image.Transpose.ROTATE_90)))
    assert np.linalg.norm(turned - plain) < 2 * np.linalg.norm(upright - plain) < np.linalg.norm(unturned - plain)


def embedded(channel: grpc.Channel, data: bytes) -> np.ndarray:
    answer = call(channel, "Embed", search_pb2.EmbedRequest(image=data))
    return np.concatenate([one.embedding for one in answer.attributes])


def ranking(channel: grpc.Channel, data: bytes) -> list[str]:
    return [hit.item_id for hit in call(channel, "Search", search_pb2.SearchRequest(image=data, page_size=50)).hits]


def test_a_picture_beyond_the_message_is_refused_by_grpc(channel: grpc.Channel) -> None:
    expected = Outcome(grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert outcome(channel, "Search", search_pb2.SearchRequest(image=bytes(22_000_000))) == expected
