from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.jobs import main
from cluster.runtime import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TOKEN = "0123456789abcdef" * 4


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def environment() -> dict[str, str]:
    """A user's: nothing of this test session's Ray; the head's ``python`` is the one that the tests run with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_") and name != "PYTHONPATH"}
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": TOKEN}


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def head() -> Iterator[str]:
    """A cluster of its own, as an operator starts one; yields the dashboard's address. Ended by its own pid."""
    folder = tempfile.mkdtemp(prefix="duet-head-")  # short: Ray's sockets lie in it, and their paths are limited
    port, dashboard, client, agent = free_ports(4)
    command = [BIN / "ray", "start", "--head", "--block", "--port", port, "--dashboard-port", dashboard]
    command += ["--ray-client-server-port", client, "--dashboard-host", "127.0.0.1", "--temp-dir", folder]
    command += ["--dashboard-agent-listen-port", agent]  # the default one belongs to the test session's own Ray
    command += ["--num-cpus", 2, "--object-store-memory", 100 * 2**20, "--resources", '{"house": 1}']
    log = Path(folder) / "head.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            [str(part) for part in command],
            env={**environment(), "RAY_worker_niceness": "0", "RAY_AUTH_MODE": "token"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            end = time.monotonic() + 90
            while not answers(dashboard):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.2)
            yield f"http://127.0.0.1:{dashboard}"
        finally:
            process.terminate()  # `ray start --block` ends its children
            try:
                process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def submit(address: str, *command: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cluster.jobs", "--address", address, "--env", "GREETING=moin", "--", *command],
        cwd=ROOT,
        env={**environment(), "RAY_AUTH_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=120,
    )


JOB = """
import json, os
from pathlib import Path
import ray, model, cluster, pipelines
from cluster.runtime import runtime
here = Path.cwd()
files = [path for path in here.rglob("*") if path.is_file()]
with runtime():
    house = "house" in ray.cluster_resources()
print("FOUND " + json.dumps({
    "bytes": sum(path.stat().st_size for path in files),
    "folders": sorted({path.relative_to(here).parts[0] for path in files}),
    "ours": all(Path(module.__file__).is_relative_to(here) for module in (model, cluster, pipelines)),
    "house": house,
    "threads": os.environ["OMP_NUM_THREADS"],
    "greeting": os.environ["GREETING"],
}))
"""


@pytest.mark.slow
def test_job_runs_on_the_cluster_from_a_small_upload(head: str) -> None:
    done = submit(head, "python", "-c", JOB)
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    found = json.loads(line.removeprefix("FOUND "))
    assert found["ours"], "the uploaded packages are imported, not installed ones"
    assert found["house"], "runtime() connects to the cluster that the job runs on"
    assert found["bytes"] < 5_000_000
    assert not {".git", ".venv", "runs", "tests"} & set(found["folders"])
    assert (found["threads"], found["greeting"]) == (ENVIRONMENT["OMP_NUM_THREADS"], "moin")

    refused = submit(head, "true", token="f" * 64)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"duet submit: {head} refuses the access token: ")
    assert len(refused.stderr.splitlines()) == 1

    helped = submit(head, "python", "-m", "pipelines.cli", "data", "--help")
    assert helped.returncode == 0, helped.stdout + helped.stderr
    assert "duet data" in helped.stdout

    failed = submit(head, "python", "-m", "pipelines.cli", "no such command")
    assert failed.returncode == 1
    assert "no command 'no such command'" in failed.stdout
    assert failed.stdout.splitlines()[-1].endswith(" failed")


def test_command_must_follow_two_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--"], ["--no-wait", "--"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert capsys.readouterr().err.startswith("duet submit: no command; write it after --")


def test_options_of_the_command_are_not_ours(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--working-dir", str(tmp_path / "absent"), "--", "python", "--no-wait", "--", "x"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"duet submit: --working-dir {tmp_path / 'absent'}: no such folder\n"


def test_dashboard_that_does_not_answer_is_named() -> None:
    (port,) = free_ports(1)
    done = submit(f"http://127.0.0.1:{port}", "true")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"duet submit: the job could not be submitted to http://127.0.0.1:{port}: ")
