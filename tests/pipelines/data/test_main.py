"""``duet data`` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.data.__main__ import main
from pipelines.data.manifest import Manifest
from pipelines.data.taxonomy import build_taxonomy, load_taxonomy

from .pictures import shop


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    return shop(tmp_path / "x.parquet", [{"collar": ["v"], "hem": ["long"]}, {"collar": ["round"]}] * 2)


def status(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


def test_describe_prints_tables_or_json(manifest: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("describe", manifest) == 0
    assert "4 rows" in capsys.readouterr().out
    assert status("describe", manifest, "--json", "--sample", "2") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 4 and found["pictures_checked"] == 2
    assert found["attributes"][0]["classes"] == {"v": 2, "round": 2}
    assert status("describe", manifest, "--json", "--all", "--sample", "2", "--attributes", "hem") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pictures_checked"] == 4 and [a["name"] for a in found["attributes"]] == ["hem"]


def test_describe_takes_several_manifests_and_roots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("1", "2"):
        (tmp_path / f"{name}.csv").write_text(f"item_id,image_uri,collar\n{name},none.jpg,v|round\n")
    paths = [str(tmp_path / "1.csv"), str(tmp_path / "2.csv")]
    assert status("describe", *paths, "--roots", str(tmp_path), "--attributes", "collar", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 2 and found["attributes"][0]["classes"] == {"v": 2, "round": 2}
    assert [problem["kind"] for problem in found["problems"]] == ["UNREADABLE_PICTURE"]


def test_taxonomy_is_written(manifest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "taxonomy.json"
    assert status("taxonomy", manifest, "--out", str(out), "--ignore", "hem") == 0
    assert load_taxonomy(out) == build_taxonomy(Manifest.open([manifest]), ignore=["hem"])
    assert "1 attributes, 2 classes" in capsys.readouterr().out


def test_wardrobe_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "w.parquet"
    assert status("wardrobe", "--items", "40", "--seed", "2", "--size", "32", "--missing", "0", "--out", str(out)) == 0
    assert Manifest.open([str(out)]).count() == 40


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["describe", "none.parquet"], "duet data: none.parquet: no such file or folder"),
        (["describe"], "MANIFEST"),
        (["describe", "x.parquet", "--sample", "0"], "--sample"),
        (["taxonomy", "x.parquet"], "--out"),
        (["wardrobe", "--out", "w.csv"], "let the name end in .parquet"),
        (["wardrobe", "--out", "w.parquet", "--size", "5"], "--size"),
        (["draw"], "no command 'draw'"),
    ],
)
def test_faults_of_the_user_are_one_line_and_status_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(*arguments) == 2
    error = capsys.readouterr().err
    assert told in error and len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["describe", "--help"], ["taxonomy", "--help"], ["import", "--help"], ["wardrobe", "--help"]],
)
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status(*arguments) == 0
    assert "usage: duet data" in capsys.readouterr().out


def test_as_a_module() -> None:
    run = subprocess.run([sys.executable, "-m", "pipelines.data"], capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "commands:" in run.stderr and "Traceback" not in run.stderr
