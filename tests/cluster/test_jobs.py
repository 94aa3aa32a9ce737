from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from aiohttp import web
from ray.job_submission import JobSubmissionClient

from cluster import jobs
from cluster.errors import ClusterError
from cluster.jobs import main
from cluster.runtime import COMPUTE

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
    "environment": dict(os.environ),
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
    assert found["environment"].items() >= {**COMPUTE, "GREETING": "moin"}.items()

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


class Dashboard:
    """Answers as Ray's dashboard does, but loses connections; for the real client.

    Args:
        tails: what each request for the job's output gets, as a whole from its beginning; None = it is cut off.
        states: what each request for the job's state gets; "" = the server fails.
    """

    def __init__(self, tails: list[str | None], states: list[str]) -> None:
        self._tails, self._states = tails, states
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": ray.__version__, "ray_commit": "", "session_name": ""})

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        text = self._tails.pop(0)
        if text is None:
            assert request.transport is not None
            request.transport.abort()
        else:
            for start in range(0, len(text), 4):  # in other pieces than lines
                await socket.send_str(text[start : start + 4])
            await socket.close()
        return socket

    async def _state(self, request: web.Request) -> web.Response:
        state = self._states.pop(0)
        if not state:
            raise web.HTTPInternalServerError(text="it is out of memory")
        return web.json_response({"type": "SUBMISSION", "entrypoint": "true", "submission_id": "j", "status": state})

    async def _start(self) -> int:
        app = web.Application()
        app.router.add_get("/api/version", self._version)
        app.router.add_get("/api/jobs/j/logs/tail", self._tail)
        app.router.add_get("/api/jobs/j", self._state)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    def __enter__(self) -> JobSubmissionClient:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return JobSubmissionClient(f"http://127.0.0.1:{port}")

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.mark.parametrize(("end", "succeeded"), [("SUCCEEDED", True), ("FAILED", False), ("STOPPED", False)])
def test_a_job_is_followed_to_its_end_and_its_output_shown_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], end: str, succeeded: bool
) -> None:
    monkeypatch.setattr(jobs, "_POLL_SECONDS", 0.01)
    with Dashboard(
        ["one\n", "one\ntwo\n", "one\n", "one\ntwo\nthree\n"], ["PENDING", "RUNNING", "RUNNING", end]
    ) as client:
        assert jobs.follow(client, "j") is succeeded
    assert capsys.readouterr().out == f"one\ntwo\nthree\nduet submit: j {end.lower()}\n"


@pytest.mark.parametrize(("tails", "states"), [([None], []), (["one\n"], [""])], ids=["output", "state"])
def test_a_connection_that_is_lost_is_told_with_how_to_go_on(tails: list[str | None], states: list[str]) -> None:
    with Dashboard(tails, states) as client:
        address = client.get_address()
        with pytest.raises(ClusterError) as error:
            jobs.follow(client, "j")
    assert str(error.value).startswith(f"connection to {address} lost (")
    assert str(error.value).endswith(f"the job goes on: ray job logs j --follow --address {address}")
    assert "\n" not in str(error.value)


def test_whoever_reads_our_output_is_not_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*values: object, **options: object) -> None:
        raise BrokenPipeError

    with Dashboard(["one\n"], ["RUNNING"]) as client:
        monkeypatch.setattr("builtins.print", gone)
        with pytest.raises(BrokenPipeError):
            jobs.follow(client, "j")
