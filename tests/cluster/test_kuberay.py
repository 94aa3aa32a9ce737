"""The Kubernetes manifests: complete, consistent, and with no field that KubeRay or Kubernetes would not know.

Pods are checked against the models of the Kubernetes client, which are made from its API. KubeRay's own definitions are
in no package, so its fields stand in `kuberay_fields`, as its API reference (1.6) names them; what the operator makes
of them is not shown here.
"""

from __future__ import annotations

import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml
from pydantic import ValidationError

from pipelines.cli import COMMANDS
from pipelines.ingest.settings import IngestSettings

from .kuberay_fields import Manifest, unknown_fields

FOLDER = Path(__file__).resolve().parents[2] / "cluster" / "kuberay"
KINDS = {"raycluster.yaml": "RayCluster", "rayjob.yaml": "RayJob", "raycronjob.yaml": "RayCronJob"}


def load(name: str) -> dict[str, Any]:
    (document,) = yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
    return document


def job_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["spec"].get("jobTemplate", document["spec"])


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    job = job_of(document)
    return job.get("rayClusterSpec", job)


def groups_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = cluster_of(document)
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_every_manifest_is_tested() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_fields_are_those_of_the_schemas(name: str) -> None:
    document = load(name)
    Manifest.model_validate(document)
    for group in groups_of(document):
        assert unknown_fields(group["template"], kubernetes.client.V1PodTemplateSpec) == []


def test_a_misspelt_field_is_found() -> None:
    document = load("raycronjob.yaml")
    document["spec"]["jobTemplate"]["rayClusterSpec"]["workerGroupSpecs"][0]["minReplica"] = 1
    with pytest.raises(ValidationError, match="minReplica"):
        Manifest.model_validate(document)
    template = groups_of(load("rayjob.yaml"))[0]["template"]
    template["spec"]["containers"][0]["volumeMounts"][0]["mountpath"] = "/x"
    template["spec"]["toleration"] = []
    assert unknown_fields(template, kubernetes.client.V1PodTemplateSpec) == [
        "spec.containers[0].volumeMounts[0].mountpath",
        "spec.toleration",
    ]


@pytest.mark.parametrize("name", KINDS)
def test_cluster_is_complete_and_asks_for_a_token(name: str) -> None:
    document = load(name)
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", KINDS[name])
    spec = cluster_of(document)
    assert spec["rayVersion"] == version("ray"), "the operator, the image and constraints.txt must agree"
    assert spec["authOptions"] == {"mode": "token"}
    head, *workers = groups_of(document)
    assert workers
    assert head["rayStartParams"]["num-cpus"] == "0"
    for group in workers:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert (group["groupName"] == "gpu") == ("nvidia.com/gpu" in limits)
    images = set()
    for group in (head, *workers):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        images.add(container["image"])
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["requests"] == container["resources"]["limits"], "Ray counts the limits"
        assert all(isinstance(entry["value"], str) for entry in container["env"])
    assert images == {f"duet:{version('duet')}"}


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycronjob.yaml"])
def test_job_is_a_command_of_ours_and_fits_its_cluster(name: str) -> None:
    document = load(name)
    program, command, *options = shlex.split(job_of(document)["entrypoint"])
    assert (program, command) == ("duet", "ingest") and command in COMMANDS
    given = dict(zip(options[::2], options[1::2], strict=True))
    settings = IngestSettings.model_validate(
        {key.removeprefix("--"): value for key, value in given.items()} | {"manifest": [given["--manifest"]]}
    )
    _, *workers = groups_of(document)
    gpus = sum(group["replicas"] for group in workers if group["groupName"] == "gpu")
    assert gpus == settings.actors * settings.gpus
    cores = {int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"]) for group in workers}
    assert settings.threads <= min(cores)
