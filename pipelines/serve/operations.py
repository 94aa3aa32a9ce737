"""Metrics, traces and the log of one server, as its settings ask for them."""

from __future__ import annotations

from collections.abc import Sequence

from .calls import Calls
from .engines import Engines
from .logs import AccessLog
from .metrics import Metrics, MetricsEndpoint, ServerState
from .observing import Observer, Observers
from .recall import RecallSampler
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
        self._traces = Traces(sent_to(settings.traces), settings.traces_sample) if settings.traces else None
        self._metrics = None if settings.metrics_port is None else Metrics()
        self._recall: RecallSampler | None = None
        if self._metrics is not None and settings.recall_sample:
            self._recall = RecallSampler(settings.recall_sample, self._metrics.recall_measured)
        # Traces first: they give a call its trace id, which the log shows.
        ours = (self._traces, self._metrics, self._recall, AccessLog(settings.log_sample))
        self.observer = Observers([one for one in (*others, *ours) if one is not None])
        self._endpoint: MetricsEndpoint | None = None

    @property
    def metrics_port(self) -> int | None:
        """See above."""
        return None if self._endpoint is None else self._endpoint.port

    def watch(self, engines: Engines, calls: Calls) -> None:
        """Show their state, too, among the metrics."""
        if self._metrics is not None:
            self._metrics.registry.register(ServerState(engines, calls))

    def start(self) -> None:
        """Show metrics. Raises `DuetError` if the address cannot be used."""
        if self._metrics is not None and self._settings.metrics_port is not None:
            self._endpoint = MetricsEndpoint(
                self._metrics.registry, self._settings.metrics_host, self._settings.metrics_port
            )

    def close(self) -> None:
        """Show no more, and send the last spans. The server has stopped by then."""
        for part in (self._endpoint, self._recall, self._traces):
            if part is not None:
                part.close()
