"""The soak: minutes of searches, upserts, deletions, ingestions, publications and rollbacks, with SIGKILL in between.

    python -m tests.pipelines.serve.soak --minutes 10 --seed 0

A server of a real index is asked over gRPC by several clients, while another process ingests into the same index; both
are killed at random moments, mostly in the middle of a change, and started again. Meanwhile everything that is
published is read with plain Lance. Every answer is compared with brute force over the snapshot that it names, every
acknowledged change must be in the snapshot that its answer names and in all later ones until a rollback or another
change takes it back, a request that comes again is answered alike, and nothing may fail but while the server is dead.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .loop import Soak
from .memory import GROWTH, growth, longest, told


def summary(soak: Soak) -> tuple[str, bool]:
    """What happened, for people, and whether all of it was right."""
    life, lines = longest(soak.server.lives), [f"{soak.seconds:.0f} s, seed {soak.seed}:"]
    lines += [f"  {count:6,} {name}" for name, count in sorted(soak.counts.items())]
    lines.append(f"memory of the server that lived longest, {len(soak.server.lives)} lives in all:")
    lines.append(told(life))
    grown, flat = growth(life), True
    if grown is None:
        lines.append("  too short to be judged")
    else:
        flat = grown <= GROWTH
        lines.append(f"  last third / second third: {grown:.3f}, {'flat' if flat else 'NOT FLAT'}")
    lines.append(f"{len(soak.violations)} violations")
    return "\n".join(lines), flat and not soak.violations


def main(argv: Sequence[str] | None = None) -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder in which index and logs stay")
    given = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(given.keep or Path(folder), given.seed, 60 * given.minutes)
        soak.go()
    text, right = summary(soak)
    print(text)
    return 0 if right else 1


if __name__ == "__main__":
    raise SystemExit(main())
