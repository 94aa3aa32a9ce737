from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.runtime import ENVIRONMENT, RaySettings, cpu_share, runtime

ROOT = Path(__file__).resolve().parents[2]


def test_ray_that_was_there_is_used_and_left_alone(ray_session: None) -> None:
    import ray

    before = ray.get_runtime_context().get_job_id()
    with runtime(RaySettings(address="127.0.0.1:1")):
        assert ray.get_runtime_context().get_job_id() == before
    assert ray.is_initialized()


def test_shares_leave_most_of_the_cluster_to_other_tasks(ray_session: None) -> None:
    import ray

    total = ray.cluster_resources()["CPU"]
    assert total == 4
    for workers in range(1, 30):
        share = cpu_share(workers)
        assert 1 / 16 <= share <= 1
        assert share == 1 / 16 or workers * share <= total / 10
        assert workers * (share + 1 / 16) > total / 10, "no smaller than it must be"
        assert sum(share for _ in range(workers)) // share == workers, "as Ray Train counts them"


CODE = """
import json, os, sys
import ray
from cluster.runtime import RaySettings, cpu_share, runtime

def state():
    return {"environment": dict(os.environ), "nice": os.nice(0)}

before = dict(os.environ)
with runtime():
    worker = ray.get(ray.remote(num_cpus=0.5)(state).remote())
    added = sorted(set(os.environ) - set(before))
    cpus = ray.cluster_resources()["CPU"]
print(json.dumps({"worker": worker, "added": added, "cpus": cpus, "left": ray.is_initialized()}))
"""


@pytest.mark.slow
def test_local_ray_has_the_defaults_and_ends_with_the_block(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    environment.pop("RAY_ADDRESS", None)
    environment["OMP_NUM_THREADS"] = "3"  # what a user has set stands
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    worker = found["worker"]["environment"]
    assert worker["OMP_NUM_THREADS"] == "3"
    assert all(worker[name] == value for name, value in ENVIRONMENT.items() if name != "OMP_NUM_THREADS")
    assert found["worker"]["nice"] == os.nice(0)
    assert not set(found["added"]) & set(ENVIRONMENT), "the driver keeps its own environment"
    assert found["cpus"] >= 4
    assert found["left"] is False


def test_port_that_nobody_listens_on_is_told_at_once() -> None:
    code = (
        "from cluster.runtime import RaySettings, runtime\n"
        "from cluster.errors import ClusterError\n"
        "try:\n    with runtime(RaySettings(address='127.0.0.1:1')): pass\n"
        "except ClusterError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "no Ray cluster answers at '127.0.0.1:1': " in done.stdout, done.stderr


@pytest.mark.parametrize("given", ["argument", "environment"])
def test_a_dashboards_address_is_told_from_a_clusters(given: str) -> None:
    dashboard = "http://127.0.0.1:8265"
    code = (
        "from cluster.runtime import RaySettings, runtime\n"
        "from cluster.errors import ClusterError\n"
        f"settings = RaySettings(address={(dashboard if given == 'argument' else None)!r})\n"
        "try:\n    with runtime(settings): pass\n"
        "except ClusterError as error: print(error)"
    )
    environment = {**os.environ, "RAY_ADDRESS": dashboard if given == "environment" else "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert "http://127.0.0.1:8265 is a dashboard's address, which only `duet submit` takes: set" in done.stdout, done
