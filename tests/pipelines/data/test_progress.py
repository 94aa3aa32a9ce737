"""Progress as plain lines, where there is no terminal."""

from __future__ import annotations

import pytest

from pipelines.data import progress as module
from pipelines.data.progress import progress


def test_lines_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress("sewing", 3000) as advance:
        advance(1500)
        advance()
    assert capsys.readouterr().err.splitlines() == ["sewing: 1,500 of 3,000", "sewing: 1,501 of 3,000"]


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("sewing", 3) as advance:
        advance(3)
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with progress("sewing", 3) as advance:
        advance(3)
    assert "3/3" in capsys.readouterr().err
