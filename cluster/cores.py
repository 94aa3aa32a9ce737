"""How many CPU cores this process may use."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path


def cores(root: Path = Path("/")) -> int:
    """Cores that this process may run on, within the limit of its container; at least 1.

    A container sees all cores of its machine; its limit is a share of their time, in its control group.

    Args:
        root: below which ``proc`` and ``sys`` lie.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _limit(root))))


def _limit(root: Path) -> float:
    """Cores' worth of time; infinite without a limit."""
    groups, limit = root / "sys/fs/cgroup", math.inf
    with suppress(OSError, ValueError):
        quota, period = (
            (groups / f"cpu/cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
        )
        limit = int(quota) / int(period) if int(quota) > 0 else math.inf
    own = Path(".")
    with suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        own = Path(*(line.removeprefix("0::/") for line in lines if line.startswith("0::/")))
    for group in (own, *own.parents):  # each of them limits those in it
        with suppress(OSError, ValueError):
            quota, period = (groups / group / "cpu.max").read_text(encoding="ascii").split()
            limit = min(limit, int(quota) / int(period))  # "max" is no number
    return limit
