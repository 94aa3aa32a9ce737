"""How many workers a run has, and what each asks of the cluster."""

from __future__ import annotations

from typing import Any

import ray
from ray.train import ScalingConfig

from cluster.errors import ClusterError
from cluster.runtime import cpu_share

from .settings import TrainSettings


def scaling(settings: TrainSettings) -> ScalingConfig:
    """Workers on GPUs if the cluster has one for each that the run needs at least, else on CPUs. Ray must run.

    Raises:
        ClusterError: the cluster has too few GPUs or CPUs; Ray would wait for them for ever.
    """
    least = settings.min_workers or settings.workers
    lower = "--workers" if settings.min_workers is None else "--min-workers"
    gpu = settings.gpu != "no" and _room("GPU", 1) >= least
    if settings.gpu == "yes" and not gpu:
        raise ClusterError(f"--gpu yes: the cluster does not have a GPU for each of {least} workers ({lower})")
    if not gpu and settings.min_workers is not None and not settings.threads:
        raise ClusterError("--min-workers on CPUs needs --threads: they say for how many workers a node has room")
    if gpu:
        asked: dict[str, float] = {"CPU": cpu_share(settings.workers), "GPU": 1}
    else:
        asked = {"CPU": settings.threads or cpu_share(settings.workers)}
        if _room("CPU", asked["CPU"]) < least:
            raise ClusterError(
                f"the cluster's nodes do not have {asked['CPU']:g} CPUs for each of {least} workers: lower --threads "
                f"or {lower}, or raise the CPUs of a local Ray, --ray.cpus"
            )
    return ScalingConfig(
        # Ray's type hints are those of the Train before this one, which had no ranges.
        num_workers=settings.workers if least == settings.workers else (least, settings.workers),  # type: ignore[arg-type]
        use_gpu=gpu,
        placement_strategy="PACK" if gpu else "SPREAD",  # GPUs talk; CPU workers take all cores of a node
        resources_per_worker=asked,
    )


def _room(resource: str, each: float) -> int:
    """How many workers that ask for so much of a resource the living nodes have room for."""
    nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    return sum(int(node["Resources"].get(resource, 0) / each + 1e-6) for node in nodes)
