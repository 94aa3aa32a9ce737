"""What Prometheus is told of engines: stages, batches, recall, and the state that is looked up when it asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from .metrics import SECONDS
from .observing import Observer, Search
from .recall import RecallSampler

if TYPE_CHECKING:
    from .calls import Calls
    from .changes import Changes
    from .engines import Engines

_PICTURES = (1, 2, 4, 8, 16, 32, 64)
_RECALL = (0.5, 0.8, 0.9, 0.95, 0.97, 0.99, 1.0)


def engine_watchers(registry: CollectorRegistry, recall_sample: float) -> list[Observer]:
    """Those who count what engines do.

    Args:
        registry: that it is shown in, and the memory and time of this process.
        recall_sample: share of the approximate searches that are asked again, exactly.
    """
    ProcessCollector(registry=registry)
    metrics = EngineMetrics(registry)
    return [metrics, *([RecallSampler(recall_sample, metrics.recall_measured)] if recall_sample else [])]


class EngineMetrics(Observer):
    """Counts what engines do. Labels are names in our code.

    Args:
        registry: that it is shown in.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stages = Histogram(
            "duet_search_stage_duration_seconds",
            "Time in each stage of a search that was answered.",
            ("stage",),
            buckets=SECONDS,
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
            buckets=SECONDS,
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
    """What is looked up when Prometheus asks: the queues, the snapshot, the memory of embeddings."""

    def __init__(self, engines: Engines, calls: Calls, changes: Changes) -> None:
        self._engines, self._calls, self._changes = engines, calls, changes

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, as they are now; those of a snapshot only while one is served."""
        snapshot = self._engines.published
        yield gauge("duet_serving", "1 when a snapshot and its encoder are loaded.", snapshot is not None)
        if snapshot is not None:
            age = (datetime.now(UTC) - snapshot.published_at).total_seconds()
            yield gauge("duet_snapshot_age_seconds", "Since the snapshot that is served was published.", age)
            yield gauge("duet_snapshot_items", "Items of the snapshot that is served.", snapshot.items)
        yield gauge("duet_requests_running", "Requests that a thread works on.", self._calls.running)
        yield gauge("duet_requests_waiting", "Requests that wait for a thread.", self._calls.waiting)
        yield gauge(
            "duet_requests_limit", "Running and waiting requests beyond which more are refused.", self._calls.room
        )
        yield from of_changes(self._changes)
        yield gauge("duet_cache_bytes", "Memory that embeddings take.", self._engines.cache.used_bytes)
        yield gauge("duet_cache_limit_bytes", "Memory that embeddings may take.", self._engines.cache.limit_bytes)
        yield gauge("duet_query_cache_bytes", "Memory that duets of pictures take.", self._engines.duets.used_bytes)
        limit = self._engines.duets.limit_bytes
        yield gauge("duet_query_cache_limit_bytes", "Memory that duets of pictures may take.", limit)


def of_changes(changes: Changes) -> Iterator[GaugeMetricFamily]:
    """The queue of what changes the catalogue."""
    text = "Upserts, deletions and publications that are read, wait or are made."
    yield gauge("duet_changes_under_way", text, changes.under_way)
    yield gauge("duet_changes_limit", "Changes under way beyond which more are refused.", changes.room)


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """One number."""
    return GaugeMetricFamily(name, text, value=value)
