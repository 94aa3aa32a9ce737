"""All benchmarks, one after the other, which takes long: ``make bench``.

`benchmarks.float16` asks for a trained encoder, so it is not among them.
"""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    *("duet", "training", "embedding", "retrieval"),
    *("ingestion", "resume", "writing", "growth", "increments", "capacity"),
    *("search", "search_growth", "multilabel", "serving"),
)


def main() -> int:
    """Run each in a process of its own; the status is the first that is not 0."""
    statuses = []
    for name in NAMES:
        print(f"== benchmarks.{name}", flush=True)
        statuses.append(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode)
        print(flush=True)
    return next(filter(None, statuses), 0)


if __name__ == "__main__":
    raise SystemExit(main())
