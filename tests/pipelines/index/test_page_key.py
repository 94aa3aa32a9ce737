"""The key of page tokens: one for all who serve an index."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.index.page_key import page_key
from pipelines.index.store import Index


def test_all_get_the_same_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "index")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(page_key, [index.uri] * 8))
    assert keys == {page_key(index.uri)} and len(keys.pop()) == 32
    assert (tmp_path / "index" / "page_key.lance").stat().st_mode & 0o777 == 0o700


def test_another_index_has_another(tmp_path: Path) -> None:
    one, other = (Index.create(tmp_path / name) for name in ("one", "other"))
    assert page_key(one.uri) != page_key(other.uri)


def test_without_a_place_for_it_everybody_has_an_own_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uri = str(tmp_path / "index")
    Path(uri).write_text("a file, so that nothing can lie below it")
    assert page_key(uri) != page_key(uri)
    assert "page tokens are good at this server alone" in caplog.text
