"""The page: everything in it, nothing beside it, and no name is taken for HTML."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

from pipelines.evaluate.compare.page import Picture, page
from pipelines.evaluate.tables import Table

TABLE = Table("a < b", ("<note>",), ("%", "", "<script>"), (("MAP", "x & y", "1.00"), ("MAP", "z", "2.00")), frozenset({(1, 2)}))  # fmt: skip  # noqa: E501


class Reader(HTMLParser):
    """Collects the texts by tag, and the sources of pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.sources.append(str(dict(attrs)["src"]))
        elif tag not in ("meta", "!doctype"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1], data))


def test_page() -> None:
    sheet = Picture("a sheet & more", "of items", b"photographs", "jpeg")
    text = page(["m3net: <runs>"], [TABLE, TABLE], [Picture("curves", "over K", b"picture")], [sheet])
    reader = Reader(text)
    parts = (("png", b"picture"), ("jpeg", b"photographs"))
    sources = [f"data:image/{kind};base64,{base64.b64encode(data).decode()}" for kind, data in parts]
    assert reader.open == [] and reader.sources == sources
    assert reader.texts.count(("th", "<script>")) == reader.texts.count(("b", "2.00")) == 2
    assert (
        ("td", "x & y") in reader.texts and ("h2", "a < b") in reader.texts and ("li", "m3net: <runs>") in reader.texts
    )
    assert "http" not in text.replace("http-equiv", "")
    order = [data for tag, data in reader.texts if tag == "h2"]
    assert order == ["a < b", "curves", "a < b", "a sheet & more"]
