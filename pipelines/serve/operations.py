"""Metrics, traces and the log of one server, as its settings ask for them."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from .engine_metrics import engine_watchers
from .logs import AccessLog
from .metrics import CallMetrics, MetricsEndpoint
from .observing import Observer, Observers
from .settings import ServeSettings
from .traces import Traces, sent_to


class Operations:
    """Whoever watches a server.

    Args:
        settings: what is asked for.
        others: who watches, too.

    Attributes:
        observer: all of them.
        metrics_port: that metrics are shown at; None where they are not asked for, or not begun.
    """

    def __init__(self, settings: ServeSettings, others: Sequence[Observer] = ()) -> None:
        self._settings = settings
        self._registry = None if settings.metrics_port is None else CollectorRegistry()
        ours: list[Observer] = []
        if settings.traces:  # first: they give a call its trace id, which the log shows
            ours.append(Traces(sent_to(settings.traces), settings.traces_sample))
        if self._registry is not None:
            ours.append(CallMetrics(self._registry))
            if not settings.ray:  # else each replica has its own
                ours += engine_watchers(self._registry, settings.recall_sample)
        ours.append(AccessLog(settings.log_sample))
        self.observer, self._ours = Observers([*others, *ours]), Observers(ours)
        self._endpoint: MetricsEndpoint | None = None

    @property
    def metrics_port(self) -> int | None:
        """See above."""
        return None if self._endpoint is None else self._endpoint.port

    def watch(self, state: Collector) -> None:
        """Show this, too, among the metrics."""
        if self._registry is not None:
            self._registry.register(state)

    def start(self) -> None:
        """Show metrics. Raises `DuetError` if the address cannot be used."""
        if self._registry is not None and self._settings.metrics_port is not None:
            self._endpoint = MetricsEndpoint(self._registry, self._settings.metrics_host, self._settings.metrics_port)

    def close(self) -> None:
        """Show no more, and send the last spans. The server has stopped by then."""
        if self._endpoint is not None:
            self._endpoint.close()
        self._ours.close()
