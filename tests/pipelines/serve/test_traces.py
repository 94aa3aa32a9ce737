"""Spans of a real server: in memory, and as a collector gets them over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, search_pb2, search_pb2_grpc
from pipelines.serve.client import Client
from pipelines.serve.traces import Traces

from .shop import Shop, item_id, picture, serving
from .test_interceptor import SPAN, TRACE
from .watchers import Ended, until

STAGES = ["plan", "query", "turn", "candidates", "score", "rank", "explain"]


class Traced:
    """A server whose spans are kept."""

    def __init__(self, channel: grpc.Channel, exporter: InMemorySpanExporter, ended: Ended) -> None:
        self.search = search_pb2_grpc.SearchServiceStub(channel).Search
        self.catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        self._exporter, self.ended = exporter, ended

    def spans(self) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """That of the one RPC since the last time, and those within it."""
        until(lambda: any(span.parent is None or span.parent.is_remote for span in self._exporter.get_finished_spans()))
        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        (call,) = [span for span in spans if span.kind is SpanKind.SERVER]
        within = [span for span in spans if span is not call]
        assert all(span.parent == call.context for span in within)
        return call, within


@pytest.fixture(scope="module")
def traced(shop: Shop) -> Iterator[Traced]:
    exporter, ended = InMemorySpanExporter(), Ended()
    with serving(shop, observers=[Traces(SimpleSpanProcessor(exporter)), ended]) as running:
        with Client(running.target) as client:
            client.published()  # loaded
        until(lambda: bool(exporter.get_finished_spans()))
        exporter.clear()
        with grpc.insecure_channel(running.target) as channel:
            yield Traced(channel, exporter, ended)


def test_a_search_is_a_span_with_its_stages_within(traced: Traced) -> None:
    traced.search(search_pb2.SearchRequest(image=picture(1)))
    call, within = traced.spans()
    assert (call.name, call.kind) == ("duet.v1.SearchService/Search", SpanKind.SERVER)
    assert call.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "duet.v1.SearchService/Search",
        "rpc.response.status_code": "OK",
        "duet.query": "image",
        "duet.conditions": 0,
        "duet.manipulations": 0,
        "duet.filtered": False,
        "duet.candidates": 20,
        "duet.exact": True,
    }
    assert [span.name for span in within] == STAGES
    assert call.start_time and call.end_time
    times = [call.start_time, *(time for span in within for time in (span.start_time, span.end_time))]
    for before, after in zip(times, [*times[1:], call.end_time], strict=True):
        assert before is not None and after is not None and before <= after + 2_000_000  # two clocks
    assert traced.ended.calls[-1].trace_id == f"{call.context.trace_id:032x}"


@pytest.mark.parametrize(
    ("flags", "kept"), [("01", True), ("00", False)], ids=["the caller keeps it", "the caller does not"]
)
def test_the_callers_trace_goes_on(traced: Traced, flags: str, kept: bool) -> None:
    caller = (("traceparent", f"00-{TRACE}-{SPAN}-{flags}"), ("tracestate", "vendor=secret"))
    traced.search(search_pb2.SearchRequest(item_id=item_id(1)), metadata=caller)
    if not kept:
        traced.search(search_pb2.SearchRequest(item_id=item_id(1)))
    call, within = traced.spans()
    assert (f"{call.context.trace_id:032x}" == TRACE) is kept
    assert len(within) == len(STAGES)
    if kept:
        assert call.parent is not None and f"{call.parent.span_id:016x}" == SPAN
        assert not call.context.trace_state
        assert traced.ended.calls[-1].trace_id == TRACE


def test_an_invalid_trace_of_the_caller_is_none(traced: Traced) -> None:
    traced.catalog.GetTaxonomy(catalog_pb2.GetTaxonomyRequest(), metadata=(("traceparent", f"00-{TRACE}-x-01"),))
    call, within = traced.spans()
    assert call.parent is None and call.name == "duet.v1.CatalogService/GetTaxonomy" and not within


def test_a_failed_search_says_where_and_why_but_not_what(traced: Traced) -> None:
    with pytest.raises(grpc.RpcError):
        traced.search(search_pb2.SearchRequest(item_id="secret-item"), metadata=(("authorization", "Bearer secret"),))
    call, within = traced.spans()
    assert call.attributes is not None
    assert (call.attributes["rpc.response.status_code"], call.attributes["error.type"]) == (
        "NOT_FOUND",
        "ITEM_NOT_FOUND",
    )
    assert call.status.status_code is StatusCode.UNSET  # the client's fault
    assert [(span.name, span.status.status_code) for span in within] == [
        ("plan", StatusCode.UNSET),
        ("query", StatusCode.ERROR),
    ]
    assert "secret" not in "".join(span.to_json() for span in (call, *within))


class Collector(ThreadingHTTPServer):
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Posts)
        self.got: list[tuple[str, bytes]] = []


class Posts(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_spans_are_sent_to_a_collector_before_the_server_ends(shop: Shop) -> None:
    collector = Collector()
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    with serving(shop, traces=url) as running, Client(running.target) as client:
        client.search(item_id=item_id(4))
    collector.shutdown()
    collector.server_close()
    assert {path for path, _ in collector.got} == {"/v1/traces"}
    resources = [one for _, body in collector.got for one in ExportTraceServiceRequest.FromString(body).resource_spans]
    names = {
        attribute.value.string_value
        for one in resources
        for attribute in one.resource.attributes
        if attribute.key == "service.name"
    }
    spans = [span for one in resources for scope in one.scope_spans for span in scope.spans]
    assert names == {"duet"} and {*STAGES, "duet.v1.SearchService/Search"} <= {span.name for span in spans}


def test_a_collector_that_is_not_there_fails_no_request(shop: Shop) -> None:
    with serving(shop, traces="http://127.0.0.1:9/v1/traces") as running, Client(running.target) as client:
        assert client.search(item_id=item_id(4)).hits
        running.stop()


def test_a_share_of_the_traces_that_begin_here_is_kept(shop: Shop) -> None:
    exporter = InMemorySpanExporter()
    watching = [Traces(SimpleSpanProcessor(exporter), share=0.0)]
    with serving(shop, observers=watching) as running, Client(running.target) as client:
        client.search(item_id=item_id(4))
    assert not exporter.get_finished_spans()
