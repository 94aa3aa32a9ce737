"""The README's tour, run as a reader would run it: the blocks marked ``<!-- test … -->``, in order, in one folder.

A mark may make a block cheaper: ``<!-- test: --items 1200 => --items 120; A => B -->``. Ports become free ones.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PORT = "50051"
BLOCK = re.compile(r"(?:^<!-- test:?(?P<mark>.*?)-->\n)?^```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines after ``$``, with their continuation lines."""
    return re.findall(r"^\$ ((?:.*\\\n)*.*)$", text, flags=re.MULTILINE)


def tour() -> list[str]:
    found = []
    for block in BLOCK.finditer((ROOT / "README.md").read_text(encoding="utf-8")):
        if block["mark"] is None:
            continue
        for command in commands(block["text"]):
            for change in filter(str.strip, block["mark"].split(";")):
                before, after = (side.strip() for side in change.split("=>"))
                assert before in block["text"], f"the mark {change!r} changes nothing"
                command = command.replace(before, after)
            found.append(command)
    return found


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda path: path.name)
def test_commands_of_the_documents_exist(path: Path) -> None:
    for block in BLOCK.finditer(path.read_text(encoding="utf-8")):
        for command in commands(block["text"]):
            for name in re.findall(r"\bduet ([a-z]+)", command):
                assert name in COMMANDS, command


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tour_of_the_readme(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    background = []
    lines = tour()
    assert {line.split()[1] for line in lines} >= set(COMMANDS) - {"submit", "sweep"}, "every command is shown"
    try:
        for line in lines:
            command = line.replace(PORT, port)
            if command.endswith("&"):
                log = (tmp_path / "background.log").open("w")
                shell = ["bash", "-c", f"exec {command.removesuffix('&')}"]
                process = subprocess.Popen(shell, cwd=tmp_path, env=environment, stdout=log, stderr=log)
                background.append(process)
                await_serving(process, tmp_path / "background.log")
                continue
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{done.stderr}"
            assert done.stdout.strip(), f"$ {command}\nsays nothing"
    finally:
        for process in background:
            process.terminate()
        codes = [process.wait(timeout=60) for process in background]
    assert codes == [0], "the server ends well on SIGTERM"


def await_serving(process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while "serving snapshot" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
