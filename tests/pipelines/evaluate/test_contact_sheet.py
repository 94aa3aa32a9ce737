"""Contact sheets: frames tell hits from misses; long and odd text fits."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from pipelines.evaluate import contact_sheet
from pipelines.evaluate.contact_sheet import CELL, HIT, MISS, Cell, Group, Row, draw_sheet, save_sheet

TALL, WIDE = Image.new("RGB", (30, 90), "yellow"), Image.new("RGB", (400, 20), "cyan")


def colours_of(sheet: Image.Image) -> dict[tuple[int, int, int], int]:
    return {colour: count for count, colour in sheet.getcolors(1 << 20)}  # type: ignore[misc, union-attr]


def test_frames_and_pictures(tmp_path: Path) -> None:
    hits = (Cell(1, True, "crew"), Cell(2, False, "polo"), Cell(1, True, "crew"))
    sheet = draw_sheet(
        [Group("collar", (Row("crew", Cell(0, None, "id"), hits),))], lambda item: (TALL, WIDE, TALL)[item]
    )
    colours = colours_of(sheet)
    frame = CELL[0] * CELL[1] - (CELL[0] - 8) * (CELL[1] - 8)
    assert colours[HIT] == 2 * frame and colours[MISS] == frame and colours[contact_sheet._QUERY] == frame
    assert colours[255, 255, 0] > 0 and colours[0, 255, 255] > 0  # both shapes, letterboxed
    save_sheet(sheet, tmp_path / "sheet.png")
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    with Image.open(tmp_path / "sheet.png") as written:
        assert written.size == sheet.size


def test_any_text_stays_inside() -> None:
    for text in ("", "a" * 500, "word " * 60, "dos\nlíneas", "ворот", "领口"):
        row = Row(text, Cell(0, None, text), (Cell(0, True, text),))
        sheet = draw_sheet([Group(text, (row, row))], lambda _: TALL)
        edge = sheet.crop((sheet.width - 4, 0, sheet.width, sheet.height))
        assert edge.getcolors() == [(edge.width * edge.height, (255, 255, 255))]


def test_rows_of_different_lengths() -> None:
    short = Group("a", (Row("x", Cell(0, None, ""), (Cell(0, True, ""),)),))
    long = Group("b", (Row("x", Cell(0, None, ""), tuple(Cell(0, False, "") for _ in range(5))),))
    assert draw_sheet([short, long], lambda _: TALL).width == draw_sheet([long], lambda _: TALL).width
