from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.index.__main__ import main
from pipelines.index.committer import Committer
from pipelines.index.publish import publish

from .support import Item, receipt


def test_it_lists_snapshots(committer: Committer, capsys: pytest.CaptureFixture[str]) -> None:
    uri = committer.index.uri
    assert main(["--index", uri]) == 0
    assert "nothing is published yet" in capsys.readouterr().out
    committer.commit([receipt(committer, upserts={"a": Item(1)})])
    publish(committer)
    assert main(["list", "--index", uri]) == 0
    assert "s00000001" in capsys.readouterr().out


def test_a_missing_index_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--index", str(tmp_path / "none")])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("duet snapshots: there is no index at")
