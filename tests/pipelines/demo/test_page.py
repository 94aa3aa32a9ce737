from __future__ import annotations

from pathlib import Path

from pipelines.demo.page import Answer, Shown, tally, write_page


def shown(*right: bool) -> list[Shown]:
    return [Shown(b"picture", f"item {n} <b>", one) for n, one in enumerate(right)]


def test_tally() -> None:
    assert tally(Answer("?", 20, None, shown(True, False, True), "a.html")) == "2 of 3 right"
    assert tally(Answer("?", 1, None, shown(True, False, False), "a.html")) == "1 found of the 1 right that there are"


def test_page_marks_and_escapes(tmp_path: Path) -> None:
    query = Shown(b"query", "<script>", None)
    answers = [Answer("Same & more?", 20, query, shown(True, False), "question-1.html")]
    write_page(tmp_path / "index.html", answers, "| <table> |", [("Curves", "curves.png")])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count('class="right"') == page.count('class="wrong"') == page.count('class="query"') == 1
    assert "<script>" not in page and "<b>" not in page and "<table>" not in page
    assert "Same &amp; more?" in page and 'src="curves.png"' in page
