"""Training under Ray: the command, a killed worker, a killed driver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.checkpoint import load_checkpoint
from pipelines.train.__main__ import main

from .shapes import write_shapes


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("shapes") / "shapes.parquet", 80)


def arguments(manifest: Path, out: Path, epochs: int = 2) -> list[str]:
    return [
        *("--manifest", str(manifest), "--out", str(out), "--cache", str(manifest.parent / "cache")),
        *("--epochs", str(epochs), "--batch", "16", "--group", "8", "--image.height", "32", "--image.width", "32"),
        *("--manipulation.width", "16", "--manipulation.steps", "5", "--precision", "float32", "--threads", "1"),
    ]


def epochs_done(out: Path) -> int:
    path = out / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_for_epoch(out: Path, epoch: int, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while epochs_done(out) < epoch:
        assert time.monotonic() < end, f"epoch {epoch} did not come"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def unbroken(manifest: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    assert main(arguments(manifest, out, 6)) == 0
    return out


def test_run_folder(unbroken: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = [json.loads(line) for line in (unbroken / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in history] == [1, 2, 3, 4, 5, 6]
    best = max(history, key=lambda entry: entry["map"])
    checkpoint = load_checkpoint(unbroken / "checkpoint")
    assert checkpoint.metrics["validation_map"] == best["map"] and checkpoint.head is not None
    for name in ("settings.json", "taxonomy.json", "curves.png", "best", "last", "tensorboard"):
        assert (unbroken / name).exists(), name
    capsys.readouterr()
    assert main(arguments(manifest, unbroken, 6)) == 0
    assert "finished" in capsys.readouterr().out

    with pytest.raises(SystemExit) as stop:
        main([*arguments(manifest, unbroken, 6), "--seed", "5"])
    assert stop.value.code == 2 and "seed" in capsys.readouterr().err


def test_user_errors_are_one_line(
    manifest: Path, unbroken: Path, tmp_path: Path, ray_session: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments(tmp_path / "none.parquet", tmp_path / "out"))
    assert stop.value.code == 2
    assert "none.parquet" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "settings.json").write_text((unbroken / "settings.json").read_text())
    with pytest.raises(SystemExit) as stop:
        main([*arguments(manifest, tmp_path / "other", 6), "--seed", "5"])
    assert stop.value.code == 2
    assert "seed" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_left_out_is_said(manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pq.read_table(manifest)
    pictures = table.column("image").to_pylist()
    pictures[3] = b"no picture"
    table = table.set_column(table.schema.get_field_index("image"), "image", pa.array(pictures, pa.binary()))
    pq.write_table(table, tmp_path / "spoilt.parquet")
    assert main(arguments(tmp_path / "spoilt.parquet", tmp_path / "run", 1)) == 0
    item = table.column("item_id")[3].as_py()
    assert f": 1 items are left out: UNSUPPORTED_FORMAT, as {item!r}" in capsys.readouterr().out


@pytest.mark.slow
def test_killed_worker_is_replaced_and_changes_nothing(unbroken: Path, manifest: Path, tmp_path: Path) -> None:
    killed = []

    def kill() -> None:
        wait_for_epoch(tmp_path, 2)
        for process in psutil.Process().children(recursive=True):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                killed.append(process.pid)
                process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    assert main(arguments(manifest, tmp_path, 6)) == 0
    thread.join()
    assert killed
    assert load_checkpoint(tmp_path / "last").digest == load_checkpoint(unbroken / "last").digest
    assert load_checkpoint(tmp_path / "checkpoint").digest == load_checkpoint(unbroken / "checkpoint").digest


@pytest.mark.slow
def test_killed_driver_is_continued_by_the_same_command(unbroken: Path, manifest: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.train", *arguments(manifest, tmp_path, 6)]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    driver = subprocess.Popen(command, env=environment, start_new_session=True)
    wait_for_epoch(tmp_path, 2)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    done = epochs_done(tmp_path)
    assert done < 6, "the driver was killed too late to show anything"
    subprocess.run(command, env=environment, check=True, timeout=240)
    assert epochs_done(tmp_path) == 6
    assert load_checkpoint(tmp_path / "checkpoint").digest == load_checkpoint(unbroken / "checkpoint").digest
