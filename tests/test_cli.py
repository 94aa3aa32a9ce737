from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from cluster.settings import Section, Settings
from pipelines.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent

# The command line's surface: a change here is a change that users see.
NAMES = [
    "data",
    "systems",
    "train",
    "ingest",
    "search",
    "serve",
    "token",
    "evaluate",
    "attention",
    "sweep",
    "snapshots",
    "submit",
]


def stops(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code


def test_help_lists_every_command_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(COMMANDS) == NAMES
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, (_, text) in COMMANDS.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert line.endswith(text)
        assert len(line) <= 88


def test_no_command_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: duet COMMAND")


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("duet 0.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trian", "duet: no command 'trian'; did you mean 'train'?\n"),
        ("ingset", "duet: no command 'ingset'; did you mean 'ingest'?\n"),
        ("xyzzy", "duet: no command 'xyzzy'; see duet --help\n"),
        ("--recipe", "duet: no command '--recipe'; see duet --help\n"),
    ],
)
def test_unknown_command_names_the_nearest(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert stops(name) == 2
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: int | str | None = main([name, "--help"])
    except SystemExit as stop:
        status = stop.code
    assert status == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: duet {name}")
    assert len(shown.splitlines()) > 5


@pytest.mark.parametrize("name", NAMES)
def test_wrong_option_of_each_command_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert stops(name, "--no-such-option") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(": ")[0].startswith(f"duet {name}") for line in captured.err.splitlines()] == [True]


@pytest.mark.parametrize("name", NAMES)
def test_module_of_each_command_is_under_the_boundary(name: str) -> None:
    assert hasattr(importlib.import_module(COMMANDS[name][0]).main, "__wrapped__")


def test_module_and_console_script_are_one_command() -> None:
    script = Path(sys.executable).parent / "duet"
    shown = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
        for command in ([script, "--help"], [sys.executable, "-m", "pipelines.cli", "--help"])
    ]
    assert shown[0] == shown[1] != ""


def test_every_setting_has_a_text() -> None:
    for name in NAMES:
        importlib.import_module(COMMANDS[name][0])
    kinds = [kind for kind in descendants(Settings) + descendants(Section) if not kind.__module__.startswith("tests.")]
    assert len(kinds) > 10
    silent = [
        f"{kind.__module__}.{kind.__name__}.{name}"
        for kind in kinds
        for name, field in kind.model_fields.items()
        if not field.description
    ]
    assert silent == []


def descendants(kind: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for child in kind.__subclasses__() for each in (child, *descendants(child))]
