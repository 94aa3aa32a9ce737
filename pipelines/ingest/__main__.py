"""``duet ingest``."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from cluster.command import command
from cluster.memory import limit_memory
from cluster.settings import parse_settings
from pipelines.errors import DuetError

from .settings import IngestSettings


@command("duet ingest", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    settings = parse_settings(IngestSettings, argv, "duet ingest")
    limit_memory()
    from .driver import run_ingest  # Ray and torch take seconds to import; --help and a wrong option do not
    from .watch import watch

    if settings.watch is not None:
        watch(settings)
        return 0
    summary = run_ingest(settings)
    for each in (summary, *summary.beside):
        Console().print(each.table())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
