"""What the replicas have counted, asked for when Prometheus asks, and shown by the process that listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True)
class Counted:
    """What one replica has counted.

    Args:
        replica: its name.
        families: of metrics, each with its samples.
    """

    replica: str
    families: Sequence[Metric]


class ReplicaMetrics(Collector):
    """Each family once, with the samples of all replicas, which are told apart by the label ``replica``.

    Args:
        ask: all replicas.
    """

    def __init__(self, ask: Callable[[], Sequence[Counted]]) -> None:
        self._ask = ask

    def collect(self) -> Iterator[Metric]:
        """As it is now."""
        together: dict[str, Metric] = {}
        for one in self._ask():
            for family in one.families:
                known = together.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                labels = {"replica": one.replica}
                known.samples += [sample._replace(labels=sample.labels | labels) for sample in family.samples]
        yield from together.values()
