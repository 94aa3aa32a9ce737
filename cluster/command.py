"""The process boundary of every command: what the user can mend is one line and status 2, never a traceback.

A command is a ``main`` under this decorator; `pipelines.cli` finds it by its module::

    @command("duet train", DuetError)
    def main(argv: Sequence[str] | None = None) -> int:
        settings = parse_settings(TrainSettings, argv, "duet train")
        ...
        return 0


    if __name__ == "__main__":
        raise SystemExit(main())
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from pydantic import ValidationError

from .errors import ClusterError, first_line
from .settings import describe, fail

INTERRUPTED = 130  # as a shell reports SIGINT
# `OSError`s that tell nothing of a file or a store: how we deal with processes and threads is our own fault.
_PROCESSES = (BlockingIOError, ChildProcessError, ProcessLookupError, TimeoutError)


class Main(Protocol):
    """A command: arguments without the program's name (None = ``sys.argv[1:]``) -> exit status."""

    def __call__(self, argv: Sequence[str] | None = None) -> int:
        """Run the command."""


def command(prog: str, *user_errors: type[ValueError]) -> Callable[[Main], Main]:
    """Decorate a ``main`` so that it ends with a line and a status.

    Args:
        prog: how the command is called; it begins every line.
        user_errors: roots of the errors that the user can mend; `ClusterError` and settings out of range always are.

    Returns:
        A ``main`` that exits with 2 after such an error, and after one of the system or a store (a disk is full, a
        bucket out of reach), also if Ray carried it over from a worker; with 130 after an interrupt, and silently
        with 1 where the reader of its output has gone. Any other error is ours, and passes with its traceback.
    """
    known: tuple[type[ValueError], ...] = (ClusterError, *user_errors)

    def decorate(main: Main) -> Main:
        @functools.wraps(main)
        def bounded(argv: Sequence[str] | None = None) -> int:
            try:
                return main(argv)
            except known as error:
                fail(prog, *str(_original(error)).splitlines())
            except ValidationError as error:
                fail(prog, *describe(error))
            except KeyboardInterrupt:
                print(f"{prog}: interrupted", file=sys.stderr)
                return INTERRUPTED
            except BrokenPipeError:
                # Nothing more can be written, and Python would complain when it flushes at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 1
            except _PROCESSES:
                raise
            except OSError as error:
                reason = f"cannot be read or written: {first_line(_original(error))}"
                fail(prog, "; ".join([reason, *getattr(error, "__notes__", [])]))

        return bounded

    return decorate


def _original(error: Exception) -> Exception:
    """An error as it was raised: Ray's own text of a worker's is the worker's traceback, and the error its cause."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else error
