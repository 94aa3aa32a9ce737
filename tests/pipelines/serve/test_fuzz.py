"""Fuzzing, in short and for a minute; `fuzz` itself runs for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from .fuzz import fuzzed, methods, table

pytestmark = pytest.mark.usefixtures("on_loopback")


@pytest.mark.parametrize("seconds", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_no_message_makes_the_server_fail(tmp_path: Path, seconds: int) -> None:
    fuzz = fuzzed(tmp_path, seconds, seconds)
    print(f"seed {seconds}\n{table(fuzz)}")
    assert not fuzz.faults, "\n".join(fuzz.faults[:5])
    assert fuzz.statuses.keys() == {method.full_name for method in methods()}
    for name in ("duet.v1.SearchService.Search", "duet.v1.SearchService.Embed", "duet.v1.CatalogService.GetItem"):
        assert fuzz.statuses[name]["OK"], f"no {name} was ever right: what is drawn is too wild to reach far"
