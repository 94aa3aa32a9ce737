"""The comparison as one page that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from ..tables import Table

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1400px; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid var(--line); padding: 1rem 0; }
.wide { overflow-x: auto; } img { max-width: 100%; background: white; border-radius: 6px; }
table { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
td, th { padding: .15rem .7rem; text-align: right; }
td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left; }
tr { border-bottom: 1px solid var(--line); } .note { opacity: .75; margin: .2rem 0; }
"""


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its title, what it shows, and the encoded bytes."""

    title: str
    note: str
    data: bytes
    kind: Literal["png", "jpeg"] = "png"


def page(
    facts: Sequence[str], tables: Sequence[Table], charts: Sequence[Picture], sheets: Sequence[Picture] = ()
) -> str:
    """HTML.

    Args:
        facts: what was compared, a line each.
        tables: in order.
        charts: they stand after the first table.
        sheets: they stand at the end.
    """
    shown, last = ([_picture(picture) for picture in pictures] for pictures in (charts, sheets))
    first, *rest = [_table(table) for table in tables]
    listed = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Duet: comparison</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>
<h1>Comparison</h1><ul>{listed}</ul>
{"".join([first, *shown, *rest, *last])}
</body></html>
"""


def _table(table: Table) -> str:
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = []
    for r, row in enumerate(table.rows):
        cells = (
            f"<td><b>{escape(cell)}</b></td>" if (r, column) in table.bold else f"<td>{escape(cell)}</td>"
            for column, cell in enumerate(row)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    grid = f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    return f"<section><h2>{escape(table.title)}</h2>{notes}{grid}</section>\n"


def _picture(picture: Picture) -> str:
    data, title = base64.b64encode(picture.data).decode(), escape(picture.title)
    image = f'<img src="data:image/{picture.kind};base64,{data}" alt="{title}">'
    return f'<section><h2>{title}</h2><p class="note">{escape(picture.note)}</p>{image}</section>\n'
