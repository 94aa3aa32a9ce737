from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pydantic import Field

from cluster.command import command
from cluster.errors import ClusterError
from cluster.settings import Section
from pipelines.errors import DuetError, ManifestError

ROOT = Path(__file__).resolve().parents[2]


class Size(Section):
    pixels: int = Field(16, ge=16)


def run(body: Callable[[], int]) -> int:
    @command("duet try", DuetError)
    def main(argv: Sequence[str] | None = None) -> int:
        return body()

    return main([])


def raises(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


def status(body: Callable[[], int]) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        run(body)
    return stop.value.code


def test_status_is_passed_on() -> None:
    assert run(lambda: 0) == 0
    assert run(lambda: 3) == 3


@pytest.mark.parametrize("error", [ManifestError("a.csv: no column 'item_id'"), ClusterError("nobody answers")])
def test_user_error_is_one_line_and_status_2(error: ValueError, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(raises(error)) == 2
    assert capsys.readouterr() == ("", f"duet try: {error}\n")


def test_setting_out_of_range_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(lambda: Size(pixels=3).pixels) == 2
    assert capsys.readouterr().err.startswith("duet try: --pixels: Input should be greater")


def test_user_error_of_a_ray_worker_comes_without_its_traceback(
    ray_session: None, capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    @ray.remote(num_cpus=0.5, max_retries=0)
    def work() -> int:
        raise ManifestError("row 3: item_id is empty")

    assert status(lambda: ray.get(work.remote())) == 2
    assert capsys.readouterr().err == "duet try: row 3: item_id is empty\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "[Errno 28] No space left on device: '/a/b'"),
        (
            OSError("LanceError(IO): out of reach: s3://a/b, /lance/io/x.rs:12:3\nCaused by: more"),
            "LanceError(IO): out of reach: s3://a/b",
        ),
    ],
    ids=["system", "store"],
)
def test_a_file_or_store_that_fails_is_one_line_and_status_2(
    error: OSError, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(raises(error)) == 2
    assert capsys.readouterr().err == f"duet try: cannot be read or written: {told}\n"


def test_notes_of_it_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    error = OSError("out of reach")
    error.add_note("the index a was being written")
    assert status(raises(error)) == 2
    told = "cannot be read or written: out of reach; the index a was being written"
    assert capsys.readouterr().err == f"duet try: {told}\n"


def test_so_is_one_that_fails_a_ray_worker(ray_session: None, capsys: pytest.CaptureFixture[str]) -> None:
    import ray

    @ray.remote(num_cpus=0.5, max_retries=0)
    def work() -> None:
        with open("/proc/self/mem/x"):
            pass

    assert status(lambda: ray.get(work.remote()) or 0) == 2
    told = "[Errno 20] Not a directory: '/proc/self/mem/x'"
    assert capsys.readouterr().err == f"duet try: cannot be read or written: {told}\n"


@pytest.mark.parametrize("error", [ProcessLookupError(), TimeoutError("of a thread")], ids=["process", "thread"])
def test_processes_and_threads_are_our_own_fault(error: OSError) -> None:
    with pytest.raises(type(error)):
        run(raises(error))


def test_own_fault_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="ours"):
        run(raises(ValueError("ours")))
    with pytest.raises(AssertionError):
        run(raises(AssertionError()))


def test_interrupt_is_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raises(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "duet try: interrupted\n"


def test_reader_that_went_away_is_silent() -> None:
    code = (
        "from cluster.command import command\n"
        "@command('duet try')\n"
        "def main(argv=None):\n"
        "    for n in range(10**6): print(n)\n"
        "    return 0\n"
        "raise SystemExit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 1
