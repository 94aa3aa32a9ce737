"""Tables of figures: the random baseline first, then the encoder, then what is possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from .scores import Summary


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: what is measured.
        notes: how.
        columns: the first two head the measure and the system.
        rows: as long as `columns`.
        bold: (row, column) of the cells that stand out.
    """

    title: str
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bold: frozenset[tuple[int, int]] = frozenset()


def side_by_side(title: str, notes: Sequence[str], system: str, columns: Sequence[tuple[str, Summary, str]]) -> Table:
    """One column per summary, for each measure a row of chance, of the system, and of the ceiling if it has one.

    Args:
        title: of the table.
        notes: below the title.
        system: the encoder's name.
        columns: (heading, figures, number of queries as text).
    """
    rows = []
    first = columns[0][1]
    for measure in first.values:
        lines = [("random", "chance"), (system, "values"), ("ceiling", "ceiling")]
        for name, kind in lines:
            if measure in getattr(first, kind):
                figures = (percent(getattr(summary, kind)[measure]) for _, summary, _ in columns)
                rows.append((measure, name, *figures))
    rows.append(("queries", "", *(queries for *_, queries in columns)))
    if any(summary.without_relevant for _, summary, _ in columns):
        rows.append(("nothing relevant", "", *(f"{summary.without_relevant:,}" for _, summary, _ in columns)))
    return Table(title, tuple(notes), ("%", "", *(heading for heading, *_ in columns)), tuple(rows))


def markdown(table: Table) -> str:
    """As Markdown, columns aligned, ending in a newline."""
    cells = [[_escape(cell) for cell in row] for row in (table.columns, *table.rows)]
    for row, column in table.bold:
        cells[row + 1][column] = f"**{cells[row + 1][column]}**"
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(table.columns))]
    lines = [
        "| "
        + " | ".join(_align(cell, width, column) for column, (cell, width) in enumerate(zip(row, widths, strict=True)))
        + " |"
        for row in cells
    ]
    rule = (
        "| "
        + " | ".join("-" * width if column < 2 else "-" * (width - 1) + ":" for column, width in enumerate(widths))
        + " |"
    )
    notes = "".join(f"{note}  \n" for note in table.notes)
    return f"## {table.title}\n\n{notes}\n" + "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def show(tables: Sequence[Table], console: Console | None = None) -> None:
    """Print: drawn on a terminal, as Markdown elsewhere."""
    console = console or Console()
    for table in tables:
        if not console.is_terminal:
            console.file.write(markdown(table) + "\n")
            continue
        drawn = RichTable(
            title=Text(table.title), caption=Text("\n".join(table.notes)), title_justify="left", caption_justify="left"
        )
        for column, heading in enumerate(table.columns):
            drawn.add_column(Text(heading), justify="left" if column < 2 else "right")
        for r, (row, after) in enumerate(zip(table.rows, [*table.rows[1:], None], strict=True)):
            cells = [Text(cell, "bold" if (r, column) in table.bold else "") for column, cell in enumerate(row)]
            drawn.add_row(*cells, end_section=after is None or after[0] != row[0])
        console.print(drawn)


def percent(value: float) -> str:
    """Of 0..1, two decimals; a dash where there is none."""
    return "–" if math.isnan(value) else f"{100 * value:.2f}"


def _escape(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|")


def _align(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)
