"""Contact sheets: each row a query and its nearest items, hits framed green, misses red."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont, ImageOps

from pipelines.data.writing import replacing

CELL = (108, 132)  # of a picture with its frame, pixels
_GAP, _FRAME, _CAPTION, _TITLE = 6, 4, 220, 34
_LINE = 15  # of small text
_TEXT, _MUTED, _PAPER = (30, 30, 30), (110, 110, 110), (255, 255, 255)
_QUERY, HIT, MISS = (60, 90, 160), (40, 150, 70), (200, 50, 50)


@dataclass(frozen=True)
class Cell:
    """One picture: the item's position, whether it is a hit (None = the query), and a line below."""

    item: int
    hit: bool | None
    text: str


@dataclass(frozen=True)
class Row:
    """A query, what it asks for in a few words, and its nearest items, best first."""

    caption: str
    query: Cell
    hits: tuple[Cell, ...]


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    title: str
    rows: tuple[Row, ...]


def draw_sheet(groups: Sequence[Group], picture: Callable[[int], Image.Image]) -> Image.Image:
    """Draw all groups, one below the other.

    Args:
        groups: with at least one row among them.
        picture: an item's picture by position, RGB, any size.
    """
    height_of_row = CELL[1] + _LINE + 2 * _GAP
    most = max(len(row.hits) for group in groups for row in group.rows)
    width = _CAPTION + (most + 1) * (CELL[0] + _GAP) + 5 * _GAP
    height = sum(_TITLE + len(group.rows) * height_of_row for group in groups) + 2 * _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for group in groups:
        draw.text((2 * _GAP, top + 8), _fit(group.title, width - 4 * _GAP, _font(16)), _TEXT, _font(16))
        top += _TITLE
        for row in group.rows:
            _write(draw, row.caption, (2 * _GAP, top + 4), _CAPTION - 4 * _GAP)
            left = _CAPTION
            for cell in (row.query, *row.hits):
                _paste(sheet, draw, cell, picture(cell.item), (left, top))
                left += CELL[0] + _GAP * (4 if cell.hit is None else 1)
            top += height_of_row
    return sheet


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a PNG, at once."""
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG", optimize=True)


def _paste(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, picture: Image.Image, at: tuple[int, int]
) -> None:
    left, top = at
    colour = _QUERY if cell.hit is None else HIT if cell.hit else MISS
    draw.rectangle((left, top, left + CELL[0] - 1, top + CELL[1] - 1), fill=colour)
    inner = CELL[0] - 2 * _FRAME, CELL[1] - 2 * _FRAME
    sheet.paste(ImageOps.pad(picture, inner, Image.Resampling.LANCZOS, color=_PAPER), (left + _FRAME, top + _FRAME))
    draw.text((left, top + CELL[1] + 1), _fit(cell.text, CELL[0], _font(11)), _MUTED, _font(11))


def _write(draw: ImageDraw.ImageDraw, text: str, at: tuple[int, int], width: int) -> None:
    """Lines of text, each broken at spaces to fit."""
    font, top = _font(13), at[1]
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}".strip()
            if line and font.getlength(longer) > width:
                draw.text((at[0], top), _fit(line, width, font), _TEXT, font)
                top, line = top + _LINE + 3, word
            else:
                line = longer
        draw.text((at[0], top), _fit(line, width, font), _TEXT, font)
        top += _LINE + 3


def _fit(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """The text on one line, cut to a width in pixels."""
    text = " ".join(text.split())  # libraqm fails at a line break
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu, which matplotlib brings: it has Latin, Greek, Cyrillic and Arabic letters."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
