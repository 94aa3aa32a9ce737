from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.settings import parse_settings
from pipelines.data.wardrobe.generate import write_wardrobe
from pipelines.errors import DuetError
from pipelines.evaluate.settings import EvaluateSettings
from pipelines.sweep.__main__ import main
from pipelines.sweep.runs import commands, plan
from pipelines.sweep.settings import SweepSettings
from pipelines.train.settings import TrainSettings

RECIPE = """
epochs = 1
batch = 16
group = 8
encoder.system = "{}"
image = {{height = 32, width = 32}}
manipulation.width = 0
"""


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name in ("asen_v2", "classifier"):
        (folder / f"{name}.toml").write_text(RECIPE.format(name))
    return folder


def settings_of(tmp_path: Path, *recipes: Path, **more: Any) -> SweepSettings:
    given = {"manifest": ["items.parquet"], "out": tmp_path / "out"} | more
    return SweepSettings(recipes=list(recipes), **given)


def test_plan_goes_seed_by_seed_with_the_baseline_first(tmp_path: Path, recipes: Path) -> None:
    runs = plan(settings_of(tmp_path, recipes, seeds=[3, 1, 3], baseline="classifier"))
    assert [run.name for run in runs] == ["classifier-3", "asen_v2-3", "classifier-1", "asen_v2-1"]
    assert [run.name for run in plan(settings_of(tmp_path, recipes, seeds=[0]))] == ["asen_v2-0", "classifier-0"]


def test_faults_of_recipes_name_the_file(tmp_path: Path, recipes: Path) -> None:
    other = tmp_path / "classifier.toml"
    other.write_text("")
    for given, more, message in (
        ([recipes, other], {}, "would make runs of one name"),
        ([tmp_path / "none.toml"], {}, r"none.toml: no such recipe"),
        ([tmp_path / "out"], {}, "no such recipe"),
        ([recipes], {"baseline": "m3net"}, r"--baseline m3net: .* asen_v2, classifier"),
    ):
        with pytest.raises(DuetError, match=message):
            plan(settings_of(tmp_path, *given, **more))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DuetError, match=r"no recipe in this folder"):
        plan(settings_of(tmp_path, tmp_path / "empty"))


def test_a_cluster_shares_its_own_cores(tmp_path: Path, recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path, recipes / "classifier.toml", seeds=[2])
    (run,) = plan(settings)
    assert "--threads" in commands(run, settings)[0]
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    assert "--threads" not in commands(run, settings)[0]


def test_commands_are_what_a_user_would_give(tmp_path: Path, recipes: Path) -> None:
    more: dict[str, Any] = {"manifest": ["a.parquet", "b.parquet"], "roots": ["a", "b"], "split": "val", "jobs": 10**6}
    settings = settings_of(tmp_path, recipes / "classifier.toml", seeds=[2], **more)
    (run,) = plan(settings)
    folder = tmp_path / "out" / "classifier-2"
    data = "--manifest a.parquet --manifest b.parquet --roots a --roots b"
    given = commands(run, settings)
    for kind, (_, *arguments) in zip((TrainSettings, EvaluateSettings), given, strict=True):
        read = parse_settings(kind, arguments, "duet")
        assert (read.manifest, read.roots) == (["a.parquet", "b.parquet"], ["a", "b"])
    assert [" ".join(command) for command in given] == [
        f"train --recipe {recipes}/classifier.toml {data} --out {folder} --seed 2 --threads 1",
        f"evaluate --checkpoint {folder}/checkpoint {data} --split val --out {folder}/evaluation-val",
    ]


@pytest.mark.slow
def test_sweep_compares_does_what_is_missing_and_goes_on_after_a_failure(
    tmp_path: Path,
    recipes: Path,
    capfd: pytest.CaptureFixture[str],
    ray_session: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    (recipes / "bad.toml").write_text('epochs = 1\nencoder.system = "nobody"\n')
    manifest, out = tmp_path / "items.parquet", tmp_path / "out"
    write_wardrobe(manifest, 80, 1)
    given = [str(recipes), "--manifest", str(manifest), "--seeds", "0", "--out", str(out), "--baseline", "classifier"]
    assert main(given) == 1
    said = capfd.readouterr()
    assert "[3 of 3]" in said.err and "bad-0: duet train ended with status 2" in said.err and "nobody" in said.err
    assert "failed: bad-0" in said.err and "difference from classifier" in said.out
    assert (out / "comparison" / "compare.html").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("report.json")}
    assert len(before) == 2
    (recipes / "bad.toml").unlink()
    assert main(given) == 0
    assert "2 runs, 0 to do" in capfd.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("report.json")} == before
