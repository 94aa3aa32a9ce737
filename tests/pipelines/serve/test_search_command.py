"""``duet search`` against a real server and against an index folder."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipelines.search.limits import Limits
from pipelines.serve.search_command import main
from tests.conftest import ROOT

from .shop import Running, Shop, item_id, make_shop, picture, serving


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def fault(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("duet search: ")
    return errors


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_a_server_and_a_folder_answer_alike(
    capsys: pytest.CaptureFixture[str], running: Running, shop: Shop, tmp_path: Path
) -> None:
    (tmp_path / "query.png").write_bytes(picture(4))
    asked = [
        *("--image", str(tmp_path / "query.png"), "--attribute", "pattern=print,tribal", "--attribute", "collar"),
        *("--change", "colour=red", "--filter", "price<9", "--filter", "not brand=Acme", "--hits", "3"),
    ]
    by_server = run(capsys, "--target", running.target, *asked)
    by_folder = run(capsys, "--index", shop.index.uri, *asked)
    assert re.match(r"3 of 4 candidates, snapshot s00000001, exact, \d+ ms\n", by_server)
    assert by_server.partition("\n")[2] == by_folder.partition("\n")[2]
    assert by_server.count("it's a/") == 3 and "pattern" in by_server and "price" in by_server


def test_more_hits_than_a_page_holds_are_fetched_page_by_page(capsys: pytest.CaptureFixture[str], shop: Shop) -> None:
    asked = ("--item", item_id(1), "--hits")
    with serving(shop, Limits(page_size=4)) as small:
        some = run(capsys, "--target", small.target, *asked, "10")
        every = run(capsys, "--target", small.target, *asked, "5000")
    assert some.startswith("10 of 19 candidates") and every.startswith("19 of 19 candidates")
    assert some.partition("\n")[2] == run(capsys, "--index", shop.index.uri, *asked, "10").partition("\n")[2]
    assert every.partition("\n")[2] == run(capsys, "--index", shop.index.uri, *asked, "19").partition("\n")[2]


def test_no_hits_are_said_to_be_none(capsys: pytest.CaptureFixture[str], running: Running) -> None:
    out = run(capsys, "--target", running.target, "--item", item_id(1), "--filter", "price<0")
    assert out.splitlines()[1:] == ["nothing passes the filter and the excluded classes"]


class Collect(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]


def test_a_page_shows_the_query_and_every_hit(
    capsys: pytest.CaptureFixture[str], running: Running, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    out = run(capsys, "--target", running.target, "--item", item_id(1), "--hits", "5", "--page", str(page))
    assert out.splitlines()[-1] == f"page: {page}"
    found = Collect()
    found.feed(page.read_text(encoding="utf-8"))
    assert found.tags.count("img") == 6 and all(link.startswith("data:image/jpeg;base64,") for link in found.links)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--item", "nobody"), "snapshot s00000001 has no item 'nobody'"),
        ((), "nothing to rank by"),
        (("--item", "a", "--image", "b"), "not allowed with"),
        (("--image", "/nowhere.jpg"), "--image /nowhere.jpg: No such file"),
        (("--attribute", "sleeve"), "known: collar, pattern, colour"),
        (("--attribute", "collar=mao"), "no class 'mao'; known: v-neck, round, polo"),
        (("--filter", "price<"), "expected a value at the end"),
        (("--item", item_id(1), "--change", "collar+polo"), "REPLACE it"),
        (("--item", item_id(1), "--page", "/nowhere/page.html"), "--page /nowhere/page.html: No such file"),
        (("--item", item_id(1), "--snapshot", "s7"), "there is no snapshot 's7'"),
        (("--item", item_id(1), "--hits", "ten"), "invalid int value"),
    ],
)
def test_faults_are_one_line(
    capsys: pytest.CaptureFixture[str], running: Running, arguments: tuple[str, ...], message: str
) -> None:
    errors = fault(capsys, "--target", running.target, *arguments)
    assert message in errors and errors.count("\n") == 1


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    errors = fault(capsys, "--target", "127.0.0.1:1", "--item", "a")
    assert "no server answers at 127.0.0.1:1" in errors and errors.count("\n") == 1


def test_a_server_without_a_snapshot_is_not_one_that_is_missing(
    capsys: pytest.CaptureFixture[str], shop: Shop, tmp_path: Path
) -> None:
    with serving(make_shop(tmp_path, 0, like=shop)) as empty:
        errors = fault(capsys, "--target", empty.target, "--item", "a")
    assert errors == "duet search: no snapshot is loaded yet; retry later\n"


def test_an_index_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "there is no index at" in fault(capsys, "--index", str(tmp_path), "--item", "a")


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; from pipelines.serve.search_command import parser; parser().format_help(); "
        "assert 'torch' not in sys.modules and 'grpc' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
