"""``duet serve``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from cluster.command import command
from cluster.settings import parse_settings
from pipelines.errors import DuetError

from .settings import ServeSettings


@command("duet serve", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    settings = parse_settings(ServeSettings, argv, "duet serve")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    from .server import serve  # torch takes seconds to import; --help and a wrong option do not

    asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
