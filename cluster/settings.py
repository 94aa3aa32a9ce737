"""Settings: frozen, validated, one text per field; from a recipe (TOML), the environment and the command line.

Precedence: command line > environment (``DUET_<FIELD>``, ``__`` between levels; lists as JSON) > ``--recipe FILE`` >
defaults. Values given in code (``TrainSettings(epochs=1)``) take the command line's place.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import tomllib
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

_recipe: ContextVar[dict[str, object]] = ContextVar("_recipe")
_SHOWN = 80  # characters of a faulty value in a message


class Section(BaseModel):
    """A group of settings inside `Settings`; frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Settings(BaseSettings):
    """Base of every command's settings. Fields carry a docstring each, which ``--help`` shows."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="DUET_",
        env_nested_delimiter="__",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        use_attribute_docstrings=True,
        nested_model_default_partial_update=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the recipe under the environment."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _recipe.get({}))

    def save(self, path: Path) -> None:
        """Write the whole configuration as JSON, atomically."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
        temporary.replace(path)


S = TypeVar("S", bound=Settings)


def parse_settings(kind: type[S], argv: Sequence[str] | None, prog: str) -> S:
    """Settings from a command line, exiting with status 2 and one line per fault if they are wrong.

    Args:
        kind: the settings class; its docstring is the command's description.
        argv: without the program's name; None = ``sys.argv[1:]``.
        prog: how the command is called, for ``--help``.
    """
    parser = OneLineParser(prog, description=inspect.getdoc(kind), allow_abbrev=False)
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="TOML file of settings, which all others override")
    # Decoding in the source's constructor would also read ``sys.argv``; here it only declares the arguments.
    source = CliSettingsSource[S](kind, cli_parse_args=False, root_parser=parser)
    given = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    token = _recipe.set(_read(prog, given.recipe))
    del given.recipe
    try:
        return CliApp.run(kind, cli_args=given, cli_settings_source=source)
    except ValidationError as error:
        fail(prog, *describe(error))
    except SettingsError as error:  # a list or a section that is not what its JSON says
        fail(prog, f"{error}: {error.__cause__}" if error.__cause__ else str(error))
    finally:
        _recipe.reset(token)


def describe(error: ValidationError) -> list[str]:
    """One line per fault: the setting, what is wrong, what it was given."""
    lines = []
    for fault in error.errors():
        name = ".".join(str(part).replace("_", "-") for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        shown = repr(fault["input"])
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
        given = "" if fault["type"] == "missing" or not name else f" (given: {shown})"
        lines.append((f"--{name}: " if name else "") + message + given)
    return lines


def fail(prog: str, *lines: str) -> NoReturn:
    """Print the lines, each after the program's name, and exit with status 2, the user's fault."""
    for line in lines:
        print(f"{prog}: {line}", file=sys.stderr)
    raise SystemExit(2)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line and status 2, without the usage of thirty options."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        fail(self.prog, f"{message} (see {self.prog} --help)")


def _read(prog: str, recipe: Path | None) -> dict[str, object]:
    if recipe is None:
        return {}
    try:
        return tomllib.loads(recipe.read_text(encoding="utf-8"))
    except OSError as error:
        fail(prog, f"--recipe {recipe}: {error.strerror}")
    except ValueError as error:  # not UTF-8, or not TOML
        fail(prog, f"--recipe {recipe}: {error}")
