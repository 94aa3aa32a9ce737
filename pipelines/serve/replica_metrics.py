"""What the replicas have counted, asked for when Prometheus asks, and shown by the process that listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

from .changes import Changes
from .engine_metrics import gauge, of_changes

# Requests wait at the listener, not at replicas.
QUEUE = ("duet_requests_waiting", "duet_requests_limit", "duet_changes_under_way", "duet_changes_limit")


@dataclass(frozen=True)
class Counted:
    """What one replica has counted.

    Args:
        replica: its name; "" = none of them, but the process that listens.
        families: of metrics, each with its samples.
    """

    replica: str
    families: Sequence[Metric]

    @property
    def running(self) -> int:
        """Requests that it works on."""
        families = (family for family in self.families if family.name == "duet_requests_running")
        return round(sum(sample.value for family in families for sample in family.samples))


def of_the_listener(ready: bool, waiting: int, limit: int, changes: Changes) -> Counted:
    """What the process that listens knows by itself.

    Args:
        ready: whether there are replicas to ask; then they say that they serve.
        waiting: requests that no replica works on.
        limit: requests beyond which more are refused.
        changes: that are under way.
    """
    families: list[Metric] = list(ProcessCollector(registry=None).collect())
    if not ready:
        families.append(gauge("duet_serving", "1 when a snapshot and its encoder are loaded.", 0))
    families.append(gauge(QUEUE[0], "Requests that wait for a thread.", max(0, waiting)))
    families.append(gauge(QUEUE[1], "Running and waiting requests beyond which more are refused.", limit))
    families += of_changes(changes)
    return Counted("", families)


class ReplicaMetrics(Collector):
    """Each family once, with the samples of all, which are told apart by the label ``replica``; "" is no label.

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
