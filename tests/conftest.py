"""What all tests share: one Ray, one S3, the real pictures, and one thread per process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from .s3 import S3, serve_s3

ROOT = Path(__file__).resolve().parent.parent

# Before anything imports torch or starts Ray, whose workers inherit the environment. Several processes with a
# thread per core each are ten times slower on two cores than with one thread each.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ["RAY_worker_niceness"] = "0"  # at Ray's own 15, workers starve beside any busy process
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # Ray's next default; unset, each init warns
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def pytest_report_header() -> str:
    """Say at the top whether tests with real pictures run."""
    folder = os.environ.get("DUET_TEST_DATA")
    return f"DUET_TEST_DATA: {folder or 'NOT SET, so every test with real pictures is skipped'}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests come first, so that no process is left alone with one of them in the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


# How long an example takes depends on what else the machine does.
settings.register_profile("duet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("duet")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real pictures with labels (``products/tiny.parquet`` and larger ones)."""
    folder = os.environ.get("DUET_TEST_DATA")
    if not folder:
        pytest.skip("DUET_TEST_DATA is not set: it names the folder with products/tiny.parquet")
    path = Path(folder)
    assert (path / "products" / "tiny.parquet").is_file(), f"DUET_TEST_DATA={folder} has no products/tiny.parquet"
    return path


@pytest.fixture(scope="session")
def ray_session(s3_server: S3) -> Iterator[None]:
    """One Ray for all tests: four logical CPUs, whatever the machine has, since two are taken by a single actor pool.

    Workers import the house's packages and the tests from the repository root, with a thread each, and find `s3`.
    """
    from cluster.runtime import RaySettings, runtime

    os.environ.pop("RAY_ADDRESS", None)  # never another's Ray
    os.environ.update(s3_server.environment)
    with runtime(RaySettings(cpus=4, object_store_mb=315)):
        yield


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """One S3 server for all tests; take `s3`."""
    with serve_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """An S3 server, which the environment names. Its buckets stay until the session ends: name your own."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
