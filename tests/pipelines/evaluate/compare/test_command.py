"""``duet evaluate compare``, from folders to its files."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from pipelines.evaluate.__main__ import main

from .made_runs import system, write_manifest, write_run


def test_writes_tables_figures_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [
        str(write_run(tmp_path / key, system(seed, wrong=0.2 + 0.2 * seed), name))
        for seed, (key, name) in enumerate({"a": "m3net", "b": "asen", "c": "m3net"}.items())
    ]
    out = tmp_path / "out"
    more = ["--out", str(out), "--published", "deepfashion", "--resamples", "100"]
    assert main(["compare", *folders, *more]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["compare.csv", "compare.html", "compare.md"]
    text, (printed, said) = (out / "compare.md").read_text(), capsys.readouterr()
    assert text.count("| ± over 2 runs") > 4 and "| M3-Net (theirs)" in text and "**" in text
    assert f"- m3net: {folders[0]}, {folders[2]}" in text and "## Where each system fails most" in text
    assert "difference from m3net" in printed and str(out / "compare.html") in printed
    rows = list(csv.DictReader(io.StringIO((out / "compare.csv").read_text())))
    assert {row["task"] for row in rows} == {"retrieval", "multilabel", "reranking", "triplets", "co-occurring classes"}
    assert "## Co-occurring classes: print" in text
    gone = "no contact sheets: items.parquet: "  # the made runs' manifest was never there
    assert said.startswith(gone) and len(said.splitlines()) == 1 and f"- {gone}" in text
    html = (out / "compare.html").read_text()
    assert len(re.findall(r'<img src="data:image/png;base64,', html)) == html.count("<img") == 2
    assert gone in html
    assert main(["compare", *folders, *more, "--each", "--sheets", "0"]) == 0
    assert "no contact sheets" not in capsys.readouterr().err + (out / "compare.md").read_text()
    assert "± over" not in (out / "compare.md").read_text() and "m3net, c" in (out / "compare.md").read_text()


def test_curves_over_the_threshold_and_contact_sheets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path / "items.parquet", system(0))
    study = {"thresholds": (0.2, 0.8)}
    folders = [
        str(write_run(tmp_path / name, system(seed), name, manifest=[str(manifest)], cache=tmp_path, sensitivity=study))
        for seed, name in enumerate(("m3net", "asen"))
    ]
    out = tmp_path / "out"
    assert main(["compare", *folders, "--out", str(out), "--resamples", "100"]) == 0
    assert capsys.readouterr().err == ""
    html = (out / "compare.html").read_text()
    assert html.count('<img src="data:image/png;base64,') == html.count('<img src="data:image/jpeg;base64,') == 3
    assert html.index("Sensitivity to the threshold") < html.index("Contact sheet: collar")
    rows = csv.DictReader(io.StringIO((out / "compare.csv").read_text()))
    assert sum(row["task"] == "threshold" for row in rows) == 2 * 2 * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "duet evaluate compare: the following arguments are required: RUNS"),
        (["nowhere"], "nowhere/report.json: No such file"),
        (["a", "--published", "zappos"], "--published"),
    ],
)
def test_faults_of_the_user_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", *arguments, "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, first in ((["compare", "--help"], "usage: duet evaluate compare"), (["--help"], "usage: duet evaluate")):
        with pytest.raises(SystemExit) as stop:
            main(argv)
        said = capsys.readouterr().out
        assert stop.value.code == 0 and said.startswith(first) and "compare" in said
