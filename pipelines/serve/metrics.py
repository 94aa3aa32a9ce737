"""What Prometheus is told of calls, and where it asks: counted as it happens, in a registry of each server's own."""

from __future__ import annotations

from grpc import StatusCode
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from pipelines.errors import DuetError

from .observing import Call, Observer

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class CallMetrics(Observer):
    """Counts calls. Labels are methods, codes and reasons: names in our code, to which no client can add.

    Args:
        registry: that they are shown in.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "duet_requests", "Requests by canonical status.", ("method", "code"), registry=registry
        )
        self._errors = Counter(
            "duet_errors",
            "Requests, and searches of batches, that were not answered, by reason.",
            ("method", "reason"),
            registry=registry,
        )
        self._seconds = Histogram(
            "duet_request_duration_seconds",
            "From the beginning of a request to the end of its answer.",
            ("method",),
            buckets=SECONDS,
            registry=registry,
        )

    def call_ended(self, call: Call) -> None:
        """See `Observer`."""
        self._requests.labels(call.name, call.code.name).inc()
        self._seconds.labels(call.name).observe(call.seconds)
        if call.reason:
            self._errors.labels(call.name, call.reason).inc()

    def batched_failed(self, call: Call, code: StatusCode, reason: str) -> None:
        """See `Observer`."""
        self._errors.labels(call.name, reason).inc()


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
