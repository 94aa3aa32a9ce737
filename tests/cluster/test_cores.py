from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster.cores import cores

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, HERE),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, HERE),
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, min(HERE, 2)),
        ({"sys/fs/cgroup/cpu.max": "99000000 100000\n"}, HERE),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 1\n",
                "sys/fs/cgroup/a/cpu.max": "1 1\n",
            },
            1,
        ),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, HERE),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, files: dict[str, str], found: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert cores(tmp_path) == found


def test_of_this_machine() -> None:
    assert 1 <= cores() <= HERE
