"""Ray for one command: connect to the cluster that there is, or start a local one; end only what was started.

Under ``ray job submit`` (and `cluster.jobs`) the driver finds ``RAY_ADDRESS`` set and connects. Without it, a local
Ray is started for this process alone, bound to loopback and without a dashboard.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray
import ray.exceptions
from pydantic import Field

from .cores import cores
from .errors import ClusterError
from .settings import Section

# Tensor libraries start a thread per core in every process; several processes of those on one machine are ten times
# slower than with one thread each. Torch asks for its large CPU tensors anew at every step, and the kernel hands them
# over page by page: in pages of 2 MB where it can, a training step is an eighth faster (docs/results/speed.md).
COMPUTE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "THP_MEM_ALLOC_ENABLE": "1",
}

# Ray's workers otherwise run at nice 15 and starve beside any busy process. Nothing is reported to anyone.
ENVIRONMENT = {
    **COMPUTE,
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# A pipeline's stages run side by side, each with a share of a CPU at least; where one never finds it, Ray hangs without
# a word.
LEAST_CPUS = 4

_STARTS = 3  # of a local Ray, on a machine that is too busy for it at first


class RaySettings(Section):
    """Which Ray a command runs on."""

    address: str | None = None
    """Cluster to connect to (host:port, ray://host:port, auto); unset: $RAY_ADDRESS, else a local Ray is started."""
    cpus: int | None = Field(None, ge=1)
    """Logical CPUs of a local Ray; unset: the machine's, at least 4."""
    object_store_mb: int | None = Field(None, ge=80)
    """Shared memory of a local Ray in MB (10**6 bytes); unset: Ray's default, a share of the machine's memory."""
    worker_logs: bool = False
    """Whether what workers print is shown here; it always is in Ray's session folder."""


@contextmanager
def runtime(settings: RaySettings | None = None) -> Iterator[None]:
    """Have Ray within the block; a Ray that was there before is used and left alone.

    Raises:
        ClusterError: the cluster at the address does not answer, or it is no cluster's address.
    """
    settings = settings or RaySettings()
    if ray.is_initialized():
        yield
        return
    # Ray says at each start that its token authentication is on, as it should be.
    logging.getLogger("ray._private.authentication.authentication_token_setup").setLevel(logging.ERROR)
    address = settings.address or os.environ.get("RAY_ADDRESS")
    if address:
        _connect(address, settings)
    else:
        _start(settings)
    try:
        yield
    finally:
        ray.shutdown()  # disconnects, and ends the processes of a local Ray only


def cpu_share(workers: int) -> float:
    """Logical CPUs that each of ``workers`` long-lived actors or training workers may ask for.

    Together they take a tenth of the cluster, and one each at most, so that the short tasks that feed them always find
    room, even on what is left when most of the cluster is lost. In sixteenths, one at least: Ray Train adds them up as
    floats and divides the sum again, which only such fractions survive.
    """
    assert workers > 0
    return min(16, max(1, int(1.6 * ray.cluster_resources().get("CPU", 0.0) / workers))) / 16


def _connect(address: str, settings: RaySettings) -> None:
    if address.startswith(("http://", "https://")):
        raise ClusterError(
            f"{address} is a dashboard's address, which only `duet submit` takes: set --ray.address or RAY_ADDRESS to "
            "the cluster's own, HOST:6379 as a rule, or leave both out for a local Ray"
        )
    # Ray tries for minutes and may then end the process; a port that nobody listens on can be told at once.
    host, _, port = address.rpartition("/")[2].rpartition(":")
    try:
        if host and port.isdigit():
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=settings.worker_logs, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterError(f"no Ray cluster answers at {address!r}: {str(error).splitlines()[0]}") from error


def _start(settings: RaySettings) -> None:
    # Ray's processes inherit the environment of their start; the driver keeps its own.
    added = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        for attempt in range(1, _STARTS + 1):
            try:
                _init(settings)
                return
            except Exception as error:  # Ray raises a bare one when its processes take longer than 30 s
                if "timed out during startup" not in str(error):
                    raise
                ray.shutdown()
                if attempt == _STARTS:
                    raise ClusterError(
                        f"a local Ray did not start within 30 s, {_STARTS} times: the machine is too busy"
                    ) from error
    finally:
        for name in added:
            del os.environ[name]


def _init(settings: RaySettings) -> None:
    ray.init(
        address="local",  # never a cluster that someone else left running on this machine
        num_cpus=settings.cpus or max(LEAST_CPUS, cores()),
        object_store_memory=settings.object_store_mb and settings.object_store_mb * 10**6,
        include_dashboard=False,
        log_to_driver=settings.worker_logs,
        logging_level=logging.WARNING,
    )
