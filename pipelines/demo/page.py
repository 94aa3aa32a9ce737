"""The demo's page: every question with its hits, right ones green, and what else the demo made."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --right: #2a9d4a; --wrong: #d33c3c; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid var(--line); padding: 1rem 0; }
.row { display: flex; gap: .6rem; flex-wrap: wrap; align-items: flex-start; }
figure { margin: 0; width: 116px; font-size: 12px; line-height: 1.3; overflow-wrap: anywhere; }
figure img { width: 110px; height: 110px; border: 3px solid var(--line); border-radius: 6px; display: block; }
figure.right img { border-color: var(--right); } figure.wrong img { border-color: var(--wrong); }
figure.query { margin-right: 1.4rem; font-weight: 600; }
.count { font-weight: 600; } table { border-collapse: collapse; } td, th { padding: .2rem .8rem; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr { border-bottom: 1px solid var(--line); }
pre { overflow: auto; padding: .8rem; border: 1px solid var(--line); border-radius: 6px; font-size: 13px; }
.sheet { max-width: 100%; }
"""


@dataclass(frozen=True)
class Shown:
    """A picture of the page.

    Args:
        picture: encoded.
        text: below it.
        right: whether it is a right answer; None for the query.
    """

    picture: bytes
    text: str
    right: bool | None


@dataclass(frozen=True)
class Answer:
    """A question with its query picture, if it has one, its hits, and how many right answers there are at all."""

    text: str
    possible: int
    query: Shown | None
    hits: Sequence[Shown]
    link: str


def write_page(path: Path, answers: Sequence[Answer], report: str, pictures: Sequence[tuple[str, str]]) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        answers: in order.
        report: the evaluation's tables, Markdown.
        pictures: (title, file beside the page).
    """
    parts = [_answer(answer) for answer in answers]
    sheets = "".join(
        f'<section><h2>{escape(title)}</h2><img class="sheet" src="{escape(name)}" alt="{escape(title)}"></section>'
        for title, name in pictures
    )
    path.write_text(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Duet: demo</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>
<h1>Duet on the demo wardrobe</h1>
<p>The encoder never saw these garments: they are the held-out test split, ingested with Ray Data into LanceDB and
searched over gRPC. Labels are true by construction, so every hit is marked right (green) or wrong (red).</p>
{"".join(parts)}
<section><h2>Evaluation on the test split</h2><pre>{escape(report)}</pre></section>
{sheets}</body></html>""",
        encoding="utf-8",
    )


def tally(answer: Answer) -> str:
    """``7 of 8 right``; or, where fewer right answers exist than hits are shown, how many of those were found."""
    right, shown = sum(bool(hit.right) for hit in answer.hits), len(answer.hits)
    if answer.possible < shown:
        return f"{right} found of the {answer.possible} right that there are"
    return f"{right} of {shown} right"


def _answer(answer: Answer) -> str:
    query = _figure(answer.query) if answer.query else ""
    return (
        f'<section><h2>{escape(answer.text)}</h2><p><span class="count">{tally(answer)}</span> · '
        f'<a href="{escape(answer.link)}">the hits with their reasons</a></p>'
        f'<div class="row">{query}{"".join(map(_figure, answer.hits))}</div></section>'
    )


def _figure(shown: Shown) -> str:
    kind = "query" if shown.right is None else "right" if shown.right else "wrong"
    data = base64.b64encode(shown.picture).decode()
    return (
        f'<figure class="{kind}"><img src="data:image/jpeg;base64,{data}" alt="{escape(shown.text)}">'
        f"<figcaption>{escape(shown.text)}</figcaption></figure>"
    )
