"""What Prometheus is told: counted as it happens, in a registry of each server's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipelines.errors import DuetError

from .observing import Call, Observer, Search

if TYPE_CHECKING:
    from .calls import Calls
    from .engines import Engines

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PICTURES = (1, 2, 4, 8, 16, 32, 64)
_RECALL = (0.5, 0.8, 0.9, 0.95, 0.97, 0.99, 1.0)


class Metrics(Observer):
    """Counts. Labels are methods, codes, reasons and stages: names in our code, to which no client can add.

    Attributes:
        registry: of all metrics.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "duet_requests", "Requests by canonical status.", ("method", "code"), registry=registry
        )
        self._errors = Counter(
            "duet_errors", "Requests that were not answered, by reason.", ("method", "reason"), registry=registry
        )
        self._seconds = Histogram(
            "duet_request_duration_seconds",
            "From the beginning of a request to the end of its answer.",
            ("method",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "duet_search_stage_duration_seconds",
            "Time in each stage of a search that was answered.",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._searches = Counter(
            "duet_searches", "Searches that were answered, exactly or approximately.", ("answer",), registry=registry
        )
        self._recall = Histogram(
            "duet_search_recall_ratio",
            "Share of the exact first page that an approximate one holds, of the searches that were asked again.",
            buckets=_RECALL,
            registry=registry,
        )
        self._batches = Histogram(
            "duet_encoder_batch_pictures",
            "Pictures that went through the encoder together.",
            buckets=_PICTURES,
            registry=registry,
        )
        self._encoding = Histogram(
            "duet_encoder_batch_duration_seconds",
            "Time of a batch in the encoder.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._pictures = Counter(
            "duet_query_cache_requests",
            "Requests by whether the duet of their picture was there (hit) or had to be encoded (miss).",
            ("result",),
            registry=registry,
        )
        self._switches = Counter(
            "duet_snapshot_switches", "Times that another snapshot was begun to be served.", registry=registry
        )
        self._failures = Counter(
            "duet_snapshot_switch_failures",
            "Times that the published snapshot could not be looked up or opened.",
            registry=registry,
        )

    def call_ended(self, call: Call) -> None:
        """See `Observer`."""
        self._requests.labels(call.name, call.code.name).inc()
        self._seconds.labels(call.name).observe(call.seconds)
        if call.reason:
            self._errors.labels(call.name, call.reason).inc()

    def search_ended(self, search: Search) -> None:
        """See `Observer`."""
        if search.result is None or search.request.validate_only:
            return
        self._searches.labels("exact" if search.result.exact else "approximate").inc()
        for stage, seconds in search.result.timings.items():
            self._stages.labels(stage).observe(seconds)

    def batch_encoded(self, pictures: int, seconds: float) -> None:
        """See `Observer`."""
        self._batches.observe(pictures)
        self._encoding.observe(seconds)

    def picture_encoded(self, known: bool) -> None:
        """See `Observer`."""
        self._pictures.labels("hit" if known else "miss").inc()

    def snapshot_switched(self) -> None:
        """See `Observer`."""
        self._switches.inc()

    def snapshot_failed(self) -> None:
        """See `Observer`."""
        self._failures.inc()

    def recall_measured(self, recall: float) -> None:
        """An approximate page held this share of the exact one."""
        self._recall.observe(recall)


class ServerState(Collector):
    """What is looked up when Prometheus asks: the queue, the snapshot, the memory of embeddings."""

    def __init__(self, engines: Engines, calls: Calls) -> None:
        self._engines, self._calls = engines, calls

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, as they are now; those of a snapshot only while one is served."""
        snapshot = self._engines.published
        yield _gauge("duet_serving", "1 when a snapshot and its encoder are loaded.", snapshot is not None)
        if snapshot is not None:
            age = (datetime.now(UTC) - snapshot.published_at).total_seconds()
            yield _gauge("duet_snapshot_age_seconds", "Since the snapshot that is served was published.", age)
            yield _gauge("duet_snapshot_items", "Items of the snapshot that is served.", snapshot.items)
        yield _gauge("duet_requests_running", "Requests that a thread works on.", self._calls.running)
        yield _gauge("duet_requests_waiting", "Requests that wait for a thread.", self._calls.waiting)
        yield _gauge(
            "duet_requests_limit", "Running and waiting requests beyond which more are refused.", self._calls.room
        )
        yield _gauge("duet_cache_bytes", "Memory that embeddings take.", self._engines.cache.used_bytes)
        yield _gauge("duet_cache_limit_bytes", "Memory that embeddings may take.", self._engines.cache.limit_bytes)
        yield _gauge("duet_query_cache_bytes", "Memory that duets of pictures take.", self._engines.duets.used_bytes)
        limit = self._engines.duets.limit_bytes
        yield _gauge("duet_query_cache_limit_bytes", "Memory that duets of pictures may take.", limit)


class MetricsEndpoint:
    """``/metrics`` over HTTP, in a thread of its own, which answers also while the event loop is held up.

    Args:
        registry: that is shown.
        host: address to listen at.
        port: 0 = any free one.

    Attributes:
        port: that it listens at.

    Raises:
        DuetError: the address cannot be used.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise DuetError(f"metrics cannot be shown at {host}:{port}: {error.strerror or error}") from error
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
