"""``duet ingest``."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence

from rich.console import Console

from cluster.command import command
from cluster.settings import parse_settings
from pipelines.errors import DuetError

from .settings import IngestSettings

_M_ARENA_MAX = -8  # of glibc's malloc.h


@command("duet ingest", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    settings = parse_settings(IngestSettings, argv, "duet ingest")
    from .driver import run_ingest  # Ray and torch take seconds to import; --help and a wrong option do not
    from .watch import watch

    _limit_arenas()
    if settings.watch is not None:
        watch(settings)
        return 0
    summary = run_ingest(settings)
    for each in (summary, *summary.beside):
        Console().print(each.table())
    return 0


def _limit_arenas() -> None:
    """Lance's and Arrow's threads would each keep what they have freed for themselves: a third more memory."""
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)(_M_ARENA_MAX, 2)  # musl has none


if __name__ == "__main__":
    raise SystemExit(main())
