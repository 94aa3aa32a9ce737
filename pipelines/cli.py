"""``duet``: one name for all commands. Each is a module of its own, imported only when it is asked for."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from cluster.command import command
from cluster.settings import fail

from .errors import DuetError

PROG = "duet"

# name -> (module with a ``main``, what it does)
COMMANDS = {
    "data": ("pipelines.data.__main__", "describe a manifest, import a public data set, draw the demo wardrobe"),
    "systems": ("pipelines.train.systems", "list the encoders that can be trained"),
    "train": ("pipelines.train.__main__", "train an encoder: manifest -> checkpoint (Ray Train)"),
    "ingest": ("pipelines.ingest.__main__", "embed a manifest and publish it: manifest -> index (Ray Data)"),
    "search": ("pipelines.serve.search_command", "ask a running server, or an index folder directly"),
    "serve": ("pipelines.serve.__main__", "answer searches over gRPC"),
    "token": ("pipelines.serve.security.token_command", "let somebody ask a server that asks for tokens"),
    "evaluate": ("pipelines.evaluate.__main__", "measure retrieval quality"),
    "attention": ("pipelines.evaluate.attention_command", "draw where an encoder looks in pictures"),
    "sweep": ("pipelines.sweep.__main__", "train and evaluate many recipes with many seeds, side by side"),
    "snapshots": ("pipelines.index.__main__", "list, switch and remove what an index has published"),
    "submit": ("cluster.jobs", "run any of these as a job on a Ray cluster"),
}


def usage() -> str:
    """The text of ``duet --help``."""
    lines = [f"  {name:<{max(map(len, COMMANDS))}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROG} COMMAND [options]",
            "",
            "Fine-grained fashion retrieval: train an encoder, stream a catalogue through it, search the result.",
            "",
            "commands:",
            *lines,
            "",
            f"{PROG} COMMAND --help tells a command's options; {PROG} --version the version.",
        ]
    )


@command(PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or [""]
    if name in ("", "-h", "--help", "help"):
        print(usage(), file=sys.stdout if name else sys.stderr)
        return 0 if name else 2
    if name == "--version":
        print(f"{PROG} {_version()}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        fail(PROG, f"no command {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; see {PROG} --help"))
    status: int = importlib.import_module(COMMANDS[name][0]).main(rest)
    return status


def _version() -> str:
    try:
        return version("duet")
    except PackageNotFoundError:  # run from a working directory that was uploaded to a cluster
        return "(not installed)"


if __name__ == "__main__":
    raise SystemExit(main())
