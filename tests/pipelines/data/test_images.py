"""Hostile and odd pictures: decoded right, or refused with the right code; never another error."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.errors import ImageError
from model.preparation import ImagePreparation
from pipelines.data import images
from pipelines.data.images import ImageLimits, content_hash, decode, prepare

from .pictures import encoded, peak_growth, picture

SMALL = ImagePreparation(32, 32)


def marked(size: tuple[int, int] = (40, 24)) -> Image.Image:
    """White, with a red upper left quarter and a blue upper right one: its orientation can be seen."""
    width, height = size
    image = Image.new("RGB", size, (255, 255, 255))
    image.paste((220, 0, 0), (0, 0, width // 2, height // 2))
    image.paste((0, 0, 220), (width // 2, 0, width, height // 2))
    return image


def code_of(data: bytes, limits: ImageLimits | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, None, limits or ImageLimits())
    assert str(caught.value)
    return caught.value.code


def close(image: Image.Image, other: Image.Image, most: float = 12.0) -> bool:
    assert image.mode == "RGB" and image.size == other.size
    return float(np.abs(np.asarray(image, float) - np.asarray(other, float)).mean()) < most


def oversized_png(width: int, height: int) -> bytes:
    """A small PNG file that claims, and would decode to, very many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 2) * 16), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_plain_pictures_decode_to_what_they_show(kind: str) -> None:
    assert close(decode(encoded(marked(), kind)), marked())


@pytest.mark.parametrize(("orientation", "kind"), list(product(range(1, 9), ["JPEG", "PNG", "WEBP"])))
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    turn = {
        2: 0,
        3: 3,
        4: 1,
        5: 5,
        6: 4,
        7: 6,
        8: 2,
    }  # EXIF -> the transposition that makes it upright (Pillow's numbers)
    inverse = {0: 0, 1: 1, 3: 3, 5: 5, 6: 6, 4: 2, 2: 4}
    stored = marked() if orientation == 1 else marked().transpose(Image.Transpose(inverse[turn[orientation]]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, kind, exif=exif, **({"quality": 95} if kind != "PNG" else {}))
    assert close(decode(data), marked())
    assert close(decode(data, SMALL).resize((40, 24)), marked(), 20)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = encoded(marked(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert close(decode(data), marked())


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_modes_without_transparency(mode: str) -> None:
    image = marked().convert(mode)
    data = encoded(image, "JPEG" if mode == "CMYK" else "PNG")
    assert close(decode(data), image.convert("RGB"))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    image = Image.new(mode, (8, 8), (0, 0) if mode == "LA" else (0, 0, 0, 0))
    image.paste((0, 255) if mode == "LA" else (0, 0, 0, 255), (0, 0, 4, 8))
    pixels = np.asarray(decode(encoded(image)))
    assert (pixels[:, :4] == 0).all() and (pixels[:, 4:] == 255).all()


def test_transparent_palette_and_transparent_colour_are_laid_on_white() -> None:
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(1, (0, 0, 4, 8))
    pixels = np.asarray(decode(encoded(palette, transparency=0)))
    assert (pixels[:, 4:] == 255).all() and (pixels[:, :4] == (200, 100, 50)).all()
    rgb = np.asarray(decode(encoded(Image.new("RGB", (4, 4), (1, 2, 3)), transparency=(1, 2, 3))))
    assert (rgb == 255).all()


def test_sixteen_bit_grey_keeps_its_range() -> None:
    values = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (4, 1))
    pixels = np.asarray(decode(encoded(Image.fromarray(values))))
    assert np.array_equal(pixels, np.repeat((values >> 8).astype(np.uint8)[:, :, None], 3, 2))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_frame_of_an_animation_counts(kind: str) -> None:
    frames = [marked(), Image.new("RGB", (40, 24), (0, 255, 0))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    assert close(decode(data), marked())


def test_the_first_picture_of_a_multi_picture_jpeg_counts() -> None:
    data = encoded(marked(), "MPO", save_all=True, append_images=[Image.new("RGB", (40, 24))])
    assert close(decode(data), marked())


@pytest.mark.parametrize(
    "data", [b"GIF89a" + bytes(40), encoded(marked(), "GIF"), encoded(marked(), "BMP"), encoded(marked(), "TIFF"),
             b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"hello", b"\x00" * 100, b"%!PS-Adobe-3.0 EPSF-3.0"]
)  # fmt: skip
def test_other_formats_are_refused(data: bytes) -> None:
    assert code_of(data) == "UNSUPPORTED_FORMAT"


def test_no_bytes_and_too_many_bytes() -> None:
    assert code_of(b"") == "EMPTY"
    assert code_of(picture(), ImageLimits(max_bytes=20)) == "TOO_LARGE"
    assert decode(picture(), None, ImageLimits(max_bytes=len(picture()))).size == (12, 16)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_pixel_cap_is_exact(kind: str) -> None:
    data = encoded(marked(), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert code_of(data, ImageLimits(max_pixels=40 * 24 - 1)) == "TOO_MANY_PIXELS"
    assert decode(data, None, ImageLimits(max_pixels=40 * 24)).size == (40, 24)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"save_all": True, "append_images": [marked()]}])
def test_a_webp_tells_its_size_before_anything_is_allocated(options: dict[str, object]) -> None:
    data = encoded(marked(), "WEBP", **options)
    with pytest.raises(ImageError, match="40x24"):
        decode(data, None, ImageLimits(max_pixels=9))


@pytest.mark.parametrize("size", [(9_000, 9_000), (60_000, 60_000)])
def test_a_pixel_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    data = oversized_png(*size)
    assert len(data) < 1000
    assert code_of(data) == "TOO_MANY_PIXELS"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_is_cut_short_is_refused(kind: str) -> None:
    data = encoded(marked((64, 64)), kind)
    end = len(data) - 16 if kind == "PNG" else len(data)  # a PNG's last 12 bytes say only that it has ended
    codes = {code_of(data[:length]) for length in range(12, end, 7)}
    assert codes == {"TRUNCATED"}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_pictures_decode_or_are_refused(data: st.DataObject) -> None:
    kind, options = data.draw(
        st.sampled_from(
            [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True})]
        )
    )
    raw = bytearray(encoded(marked(), kind, **options))
    for place, value in data.draw(st.lists(st.tuples(st.integers(3, len(raw) - 1), st.integers(0, 255)), max_size=6)):
        raw[place] = value
    raw = raw[: data.draw(st.integers(1, len(raw)))]
    try:
        image = decode(bytes(raw), data.draw(st.sampled_from([None, SMALL])))
    except ImageError:
        return
    assert image.mode == "RGB"


@pytest.mark.parametrize(
    ("size", "expected"), [((800, 600), (400, 300)), ((1600, 1200), (400, 300)), ((300, 200), (300, 200))]
)
def test_a_jpeg_is_decoded_at_the_scale_that_is_needed(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert decode(encoded(marked(size), "JPEG"), ImagePreparation(224, 224)).size == expected


def test_a_sideways_jpeg_is_not_scaled_below_its_target() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(marked((1600, 800)), "JPEG", exif=exif)
    image = decode(data, ImagePreparation(448, 224))
    assert image.size == (400, 800)
    assert decode(data).size == (800, 1600)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from(["pad", "crop"]), st.sampled_from(["JPEG", "PNG"]))
def test_prepare_gives_the_input_of_the_encoder_whatever_the_size(width: int, height: int, fit: str, kind: str) -> None:
    target = ImagePreparation(48, 32, fit=fit)  # type: ignore[arg-type]
    pixels = prepare(encoded(marked((width, height)), kind), target)
    assert pixels.shape == (48, 32, 3) and pixels.dtype == np.uint8


def test_decoding_at_scale_hardly_changes_the_prepared_picture() -> None:
    data = encoded(marked((1200, 900)), "JPEG", quality=95)
    direct = SMALL.apply(decode(data))
    assert np.abs(prepare(data, SMALL).astype(int) - direct).mean() < 2


def in_three_scans(width: int, height: int) -> bytes:
    """A grey JPEG that is not progressive, with a scan for each component: the same few bits for each of its blocks."""
    whole = encoded(Image.new("RGB", (width, height), (128, 128, 128)), "JPEG", subsampling=0)
    head = whole[: whole.index(b"\xff\xda")]
    blocks = -(-width // 8) * -(-height // 8)
    scans = b""
    for component, bits in ((1, "001010"), (2, "0000"), (3, "0000")):  # no difference, and nothing else
        text = bits * blocks
        text += "1" * (-len(text) % 8)
        tables = 0x00 if component == 1 else 0x11
        header = struct.pack(">HBBBBBB", 8, 1, component, tables, 0, 63, 0)
        scans += b"\xff\xda" + header + int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\0")
    return head + scans + b"\xff\xd9"


def test_a_jpeg_in_three_scans_is_a_picture() -> None:
    assert (np.abs(np.asarray(decode(in_three_scans(100, 70))).astype(int) - 128) <= 1).all()


@pytest.mark.parametrize(
    ("data", "waits"),
    [
        (encoded(Image.new("1", (2000, 2001))), True),
        (encoded(Image.new("1", (2000, 2000))), False),
        (encoded(Image.new("RGB", (2000, 2001)), "WEBP", quality=0, method=0), True),
        (encoded(Image.new("RGB", (2000, 2001)), "JPEG"), False),  # decoded at an eighth
        (encoded(Image.new("RGB", (2000, 2001)), "JPEG", progressive=True), True),  # read whole, whatever the scale
        (encoded(Image.new("L", (2000, 2001)), "JPEG"), False),
        (encoded(Image.new("CMYK", (2000, 2001)), "JPEG"), False),
        (encoded(Image.new("RGB", (2000, 2001)), "JPEG", exif=b"Exif\0\0" + bytes(999)), False),
        (in_three_scans(2000, 2001), True),
    ],
    ids=["PNG", "small PNG", "WebP", "JPEG", "progressive JPEG", "grey JPEG", "CMYK JPEG", "EXIF", "three scans"],
)
def test_a_large_picture_waits_for_room(data: bytes, waits: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        with images._ROOM.taken(24_000_000):
            prepared = pool.submit(prepare, data, SMALL)
            if waits:
                with pytest.raises(StillRunning):
                    prepared.result(0.3)
            else:
                prepared.result(20)
        assert prepared.result(20).shape == (32, 32, 3)
    assert images._ROOM.free == 24_000_000


def test_a_large_picture_that_is_damaged_makes_room_again() -> None:
    with pytest.raises(ImageError):
        prepare(encoded(Image.new("RGB", (2000, 2001)))[:5000], SMALL)
    assert images._ROOM.free == 24_000_000


def test_large_pictures_together_take_the_memory_of_one() -> None:
    setup = """
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from PIL import Image
from model.preparation import ImagePreparation
from pipelines.data.images import prepare
stream = BytesIO()
Image.new("LA", (5000, 4000)).save(stream, "PNG")
def one(_): return prepare(stream.getvalue(), ImagePreparation(32, 32))
"""
    grown = peak_growth(setup, "with ThreadPoolExecutor(6) as pool: list(pool.map(one, range(12)))")
    assert grown < 400  # 20 megapixels: grey and alpha, RGBA and RGB, all of four bytes; six of them are 1,400


def test_content_hash_is_of_the_bytes() -> None:
    assert content_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert content_hash(picture(1)) != content_hash(picture(2))
