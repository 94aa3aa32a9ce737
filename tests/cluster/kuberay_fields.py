"""The fields that KubeRay 1.6 knows, and those that Kubernetes does: what is unknown is refused."""

from __future__ import annotations

import re
from typing import Any, Literal

import kubernetes.client
from pydantic import BaseModel, ConfigDict, model_validator


class _Known(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Metadata(_Known):
    name: str | None = None
    generateName: str | None = None
    namespace: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Auth(_Known):
    mode: Literal["token", "disabled"]
    secretName: str | None = None


class _Head(_Known):
    rayStartParams: dict[str, str] = {}
    template: dict[str, Any]
    serviceType: str | None = None
    headService: dict[str, Any] | None = None
    enableIngress: bool | None = None
    resources: dict[str, str] = {}
    labels: dict[str, str] = {}


class _Workers(_Known):
    groupName: str
    replicas: int = 0
    minReplicas: int
    maxReplicas: int
    rayStartParams: dict[str, str] = {}
    template: dict[str, Any]
    numOfHosts: int = 1
    suspend: bool | None = None
    idleTimeoutSeconds: int | None = None
    resources: dict[str, str] = {}
    labels: dict[str, str] = {}
    scaleStrategy: dict[str, Any] | None = None


class _Cluster(_Known):
    rayVersion: str
    headGroupSpec: _Head
    workerGroupSpecs: list[_Workers]
    authOptions: _Auth
    enableInTreeAutoscaling: bool | None = None
    autoscalerOptions: dict[str, Any] | None = None
    gcsFaultToleranceOptions: dict[str, Any] | None = None
    headServiceAnnotations: dict[str, str] = {}
    suspend: bool | None = None
    managedBy: str | None = None


class _Job(_Known):
    entrypoint: str
    rayClusterSpec: _Cluster
    backoffLimit: int = 0
    activeDeadlineSeconds: int | None = None
    shutdownAfterJobFinishes: bool = False
    ttlSecondsAfterFinished: int = 0
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"] = "K8sJobMode"
    runtimeEnvYAML: str | None = None
    jobId: str | None = None
    metadata: dict[str, str] = {}
    suspend: bool = False
    entrypointNumCpus: float | None = None
    entrypointNumGpus: float | None = None
    entrypointResources: str | None = None
    submitterPodTemplate: dict[str, Any] | None = None
    submitterConfig: dict[str, Any] | None = None
    managedBy: str | None = None


class _CronJob(_Known):
    schedule: str
    jobTemplate: _Job
    suspend: bool = False


_SPECS: dict[str, type[_Known]] = {"RayCluster": _Cluster, "RayJob": _Job, "RayCronJob": _CronJob}


class Manifest(_Known):
    """A document of one of the three kinds."""

    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayCluster", "RayJob", "RayCronJob"]
    metadata: _Metadata
    spec: dict[str, Any]

    @model_validator(mode="after")
    def _spec_of_the_kind(self) -> Manifest:
        _SPECS[self.kind].model_validate(self.spec)
        return self


def unknown_fields(value: Any, model: type | str, path: str = "") -> list[str]:
    """Where a document has fields that the Kubernetes client's model of it has not, or values of another type."""
    if isinstance(model, str):
        if inner := re.fullmatch(r"[Ll]ist\[(.+)\]", model):
            if not isinstance(value, list):
                return [path]
            return [bad for n, one in enumerate(value) for bad in unknown_fields(one, inner[1], f"{path}[{n}]")]
        if inner := re.fullmatch(r"[Dd]ict[(\[]\w+, (.+)[)\]]", model):
            if not isinstance(value, dict):
                return [path]
            return [bad for key, one in value.items() for bad in unknown_fields(one, inner[1], f"{path}.{key}")]
        plain = {"str": str, "int": int, "bool": bool, "float": (int, float)}
        if model in plain:
            return [] if isinstance(value, plain[model]) else [path]
        if model in ("object", "datetime"):
            return []
        model = getattr(kubernetes.client, model)
    if not isinstance(value, dict):
        return [path]
    names = {name: key for key, name in model.attribute_map.items()}
    wrong = []
    for key, one in value.items():
        here = f"{path}.{key}".lstrip(".")
        wrong += unknown_fields(one, model.openapi_types[names[key]], here) if key in names else [here]
    return wrong
