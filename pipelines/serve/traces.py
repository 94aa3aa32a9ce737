"""OpenTelemetry: a span of each RPC, in the caller's trace if it has one, with a span of each stage of its searches."""

from __future__ import annotations

from grpc import StatusCode
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .observing import Call, Observer, Search, current_call
from .reasons import query_kind

_TIMEOUT = 3.0  # seconds that sending may take, with its retries; the end of a server waits for it

# The client's fault is none of the span's, says OpenTelemetry of servers.
_FAULTS = frozenset(
    {
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    }
)


class Traces(Observer):
    """Spans with the attributes of OpenTelemetry's conventions for RPCs; of a request just its kind and counts.

    Args:
        processor: where ended spans go.
        share: of the traces that begin here which are kept, in [0, 1]; of the others the caller has decided.
    """

    def __init__(self, processor: SpanProcessor, share: float = 1.0) -> None:
        # Not the process' own provider, of which there can be but one.
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)),
            resource=Resource.create({"service.name": "duet"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("duet.serve")
        self._spans: dict[Call, trace.Span] = {}

    def call_began(self, call: Call) -> None:
        """See `Observer`. The call gets the span's trace id."""
        parent = TraceContextTextMapPropagator().extract({"traceparent": call.trace_parent})
        span = self._tracer.start_span(
            call.method,
            parent,
            trace.SpanKind.SERVER,
            {"rpc.system.name": "grpc", "rpc.method": call.method},
            start_time=call.began,
        )
        self._spans[call] = span
        call.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        carried: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carried, trace.set_span_in_context(span))
        call.child_parent = carried["traceparent"]

    def call_ended(self, call: Call) -> None:
        """See `Observer`."""
        span = self._spans.pop(call)
        span.set_attribute("rpc.response.status_code", call.code.name)
        if call.reason:
            span.set_attribute("error.type", call.reason)
        if call.code in _FAULTS:
            span.set_status(trace.StatusCode.ERROR)
        span.end(call.began + round(call.seconds * 1e9))

    def search_ended(self, search: Search) -> None:
        """See `Observer`."""
        call = current_call.get()
        span = None if call is None else self._spans.get(call)
        if span is None or not span.is_recording():  # the call has been given up, or is not kept
            return
        request, result = search.request, search.result
        span.set_attributes(
            {
                "duet.query": query_kind(request).value,
                "duet.conditions": len(request.attributes),
                "duet.manipulations": len(request.manipulations),
                "duet.filtered": request.filter is not None,
            }
        )
        if result is not None:
            span.set_attributes({"duet.candidates": result.total_candidates, "duet.exact": result.exact})
        within = trace.set_span_in_context(span)
        for stage in search.stages:
            child = self._tracer.start_span(stage.name, within, start_time=stage.began)
            if result is None and stage is search.stages[-1]:
                child.set_status(trace.StatusCode.ERROR)
            child.end(stage.began + round(stage.seconds * 1e9))

    def close(self) -> None:
        """Send what has ended."""
        self._provider.shutdown()


def sent_to(url: str) -> SpanProcessor:
    """Spans are sent in batches to a collector, by OTLP over HTTP.

    Args:
        url: with its path: ``http://127.0.0.1:4318/v1/traces``.
    """
    return BatchSpanProcessor(OTLPSpanExporter(url, timeout=_TIMEOUT))
