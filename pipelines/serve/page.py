"""A page of hits with their pictures: one HTML file that needs no other, runs no script and loads nothing.

Whatever comes from a catalogue is escaped; pictures are embedded.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources
from io import BytesIO
from itertools import groupby

from PIL import Image

from pipelines.data.images import decode
from pipelines.errors import ImageError
from pipelines.search.filters import AllOf, AnyOf, Comparison, Filter, Membership, Negated
from pipelines.search.plan import QueryKind
from pipelines.search.request import SearchRequest
from pipelines.search.result import Contribution, Hit, Item, SearchResult

from .reasons import change_text, condition_text, metadata_text, query_kind

_QUERY_SIDE, _HIT_SIDE = 480, 240
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def build_page(request: SearchRequest, result: SearchResult, items: Mapping[str, Item], query: Item | None) -> str:
    """The page as text.

    Args:
        request: what was asked.
        result: one page of hits.
        items: of the hits, by id, for their pictures.
        query: the item that was compared with, if it was one.
    """
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Duet: {len(result.hits)} hits</title>
<style>
{resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")}
</style>
</head>
<body>
<aside>
{_query(request, query)}
{_wishes(request, result)}
{_facts(result)}
</aside>
<main>
{_hits(request, result, items)}
</main>
</body>
</html>
"""


def _query(request: SearchRequest, query: Item | None) -> str:
    match query_kind(request):
        case QueryKind.IMAGE:
            picture, title = _picture(request.image or b"", _QUERY_SIDE, "the query"), "Your picture"
        case QueryKind.ITEM:
            data = query.thumbnail if query is not None else b""
            picture, title = _picture(data, _QUERY_SIDE, "the query"), request.item_id or ""
        case QueryKind.PROTOTYPES:
            return '<p class="kicker">Query</p><h1>Attributes alone</h1>'
    return f'<p class="kicker">Query</p>{picture}<h1>{escape(title)}</h1>'


def _wishes(request: SearchRequest, result: SearchResult) -> str:
    told = {one.attribute: one.removed for hit in result.hits[:1] for one in hit.contributions}
    rows = [("change", one.attribute, change_text(one, told.get(one.attribute, ()))) for one in request.manipulations]
    rows += [("wish", condition.attribute, condition_text(condition)) for condition in request.attributes]
    if request.filter is not None:
        rows.append(("filter", "filter", filter_text(request.filter)))
    if not rows:
        return '<p class="none">most similar overall</p>'
    lines = (
        f'<li class="{kind}"><span>{escape(name)}</span><strong>{escape(text)}</strong></li>'
        for kind, name, text in rows
    )
    return f'<ul class="wishes">{"".join(lines)}</ul>'


def _facts(result: SearchResult) -> str:
    facts = {
        "candidates": f"{result.total_candidates:,}",
        "search": "exact" if result.exact else "approximate",
        "time": f"{sum(result.timings.values()) * 1000:.0f} ms",
        "snapshot": result.snapshot_id,
        "model": result.model[:12],
    }
    lines = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{''.join(lines)}</dl>"


def _hits(request: SearchRequest, result: SearchResult, items: Mapping[str, Item]) -> str:
    if not result.hits:
        return '<p class="none">Nothing passes the filter and the excluded classes.</p>'
    sections = []
    for tier, hits in groupby(result.hits, key=lambda hit: hit.tier):
        title = f"<h2>{_tier_title(tier)}</h2>" if request.attributes else ""
        sections.append(
            f"<section>{title}<ol>{''.join(_card(hit, items.get(hit.item_id)) for hit in hits)}</ol></section>"
        )
    return "\n".join(sections)


def _tier_title(tier: int) -> str:
    if tier == 0:
        return "Without any wanted class"
    return f"With {tier} wanted {'class' if tier == 1 else 'classes'}"


def _card(hit: Hit, item: Item | None) -> str:
    picture = _picture(item.thumbnail if item is not None else b"", _HIT_SIDE, hit.item_id)
    reasons = "".join(map(_reason, hit.contributions))
    metadata = f'<p class="metadata">{escape(metadata_text(hit.metadata))}</p>' if hit.metadata else ""
    return f"""
<li class="card">
<div class="frame"><span class="rank">{hit.rank}</span>{picture}</div>
<h3 title="{escape(hit.item_id)}">{escape(hit.item_id)}</h3>
<p class="score"><meter min="0" max="1" value="{max(0.0, hit.score):.4f}"></meter><span>{hit.score:.3f}</span></p>
<ul class="reasons">{reasons}</ul>
{metadata}
</li>"""


def _reason(one: Contribution) -> str:
    matched = {match.name for match in one.matched}
    chips = [
        f'<span class="chip{" come" if match.name in one.added else ""}">{escape(match.name)}'
        f"<small>{match.probability:.0%}</small></span>"
        for match in one.matched
    ]
    chips += [f'<span class="chip missing">{escape(name)}</span>' for name in one.added if name not in matched]
    similarity = one.similarity if one.class_similarity is None else one.class_similarity
    kind = "attribute" if one.class_similarity is None else "class"
    return (
        f"<li><span>{escape(one.attribute)}</span>{''.join(chips)}"
        f'<span class="similarity" title="cosine of the {kind} embeddings">{similarity:.2f}</span></li>'
    )


def _picture(data: bytes, side: int, name: str) -> str:
    """The picture, made small and encoded anew, so that nothing but pixels of a stranger's file is on the page."""
    try:
        image = decode(data)
    except ImageError:
        return '<div class="picture empty">no picture</div>'
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = BytesIO()
    image.save(stream, "JPEG", quality=88)
    text = base64.b64encode(stream.getvalue()).decode()
    return f'<img class="picture" alt="{escape(name)}" src="data:image/jpeg;base64,{text}">'


def filter_text(node: Filter) -> str:
    """A filter for people."""
    match node:
        case Comparison(column, operator, value):
            return f"{column} {operator} {value}"
        case Membership(column, values):
            return f"{column} in {_joined((str(value) for value in values), ', ')}"
        case AllOf(filters):
            return _joined(map(filter_text, filters), " and ")
        case AnyOf(filters):
            return _joined(map(filter_text, filters), " or ")
        case Negated(inner):
            return f"not {filter_text(inner)}"


def _joined(parts: Iterable[str], between: str) -> str:
    return f"({between.join(parts)})"
