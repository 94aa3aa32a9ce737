from __future__ import annotations

import shlex
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli import COMMANDS

FOLDER = Path(__file__).resolve().parents[2] / "cluster" / "kuberay"
KINDS = {"raycluster.yaml": "RayCluster", "rayjob.yaml": "RayJob"}


def load(name: str) -> dict[str, Any]:
    (document,) = yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))
    return document


def test_every_manifest_is_tested() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_cluster_is_complete_and_asks_for_a_token(name: str) -> None:
    document = load(name)
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", KINDS[name])
    spec = document["spec"].get("rayClusterSpec", document["spec"])
    assert spec["rayVersion"] == version("ray"), "the operator, the image and constraints.txt must agree"
    assert spec["authOptions"] == {"mode": "token"}
    head, *workers = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    assert workers
    assert head["rayStartParams"]["num-cpus"] == "0"
    for group in workers:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
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


def test_job_is_a_command_of_ours() -> None:
    program, name, *options = shlex.split(load("rayjob.yaml")["spec"]["entrypoint"])
    assert program == "duet"
    assert name in COMMANDS
    assert "--checkpoint" in options
