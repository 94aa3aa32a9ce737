"""``duet serve``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from cluster.command import command
from cluster.memory import limit_memory
from cluster.settings import parse_settings
from pipelines.errors import DuetError

from .settings import ServeSettings


@command("duet serve", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    settings = parse_settings(ServeSettings, argv, "duet serve")
    limit_memory()
    from .logs import start_log

    start_log(settings)
    with _ray() if settings.ray else nullcontext():
        # torch takes seconds to import; --help and a wrong option do not. Lance warns where Ray is started after it.
        from .server import serve

        asyncio.run(serve(settings))
    return 0


def _ray() -> AbstractContextManager[None]:
    from cluster.runtime import RaySettings, runtime

    return runtime(RaySettings(worker_logs=True))  # what replicas log is this server's log


if __name__ == "__main__":
    raise SystemExit(main())
