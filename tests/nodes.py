"""A Ray cluster of several nodes on this machine: each has processes and resources of its own, and can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import psutil
from ray._private.node import Node
from ray.cluster_utils import Cluster

from cluster.runtime import ENVIRONMENT

_STORE = 100 * 2**20  # bytes of shared memory per node


class Nodes:
    """A head without CPUs, and nodes that work.

    Attributes:
        workers: the nodes that work, in the order in which they came.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.workers: list[Node] = []

    def start(self, module: str, arguments: Sequence[str]) -> subprocess.Popen[str]:
        """A driver, in a process group of its own, that runs on the cluster."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **ENVIRONMENT, "RAY_ADDRESS": self._cluster.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def add(self, cpus: int) -> None:
        """One more node."""
        self.workers.append(self._cluster.add_node(num_cpus=cpus, object_store_memory=_STORE))

    def kill(self, node: Node) -> None:
        """Everything that runs on a node is gone at once, as with a machine that loses its power."""
        for process in self.processes(node):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._cluster.remove_node(node, allow_graceful=False)
        self.workers.remove(node)

    def processes(self, node: Node, title: str = "") -> list[psutil.Process]:
        """A node's processes that have the title in their command line."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        return [process for process in (raylet, *raylet.children(recursive=True)) if title in _title(process)]


def wait_for(run: subprocess.Popen[str], done: Callable[[], bool], seconds: float = 150) -> None:
    """Until it is done, as long as the driver runs."""
    end = time.monotonic() + seconds
    while not done():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""


@contextmanager
def ray_nodes(cpus: Sequence[int]) -> Iterator[Nodes]:
    """A cluster with so many nodes beside its head, each with so many logical CPUs."""
    added = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)  # Ray's processes inherit it
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": _STORE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = Nodes(cluster)
        for count in cpus:
            nodes.add(count)
        yield nodes
    finally:
        cluster.shutdown()
        for name in added:
            del os.environ[name]
