from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import timestamp_pb2
from hypothesis import HealthCheck, given, settings

from pipelines.errors import RequestError
from pipelines.rpc.duet.v1 import filter_pb2, search_pb2, value_pb2
from pipelines.search.engine import Engine
from pipelines.search.filters import Negated
from pipelines.search.request import SearchRequest
from pipelines.serve.filter_messages import read_filter, write_filter
from pipelines.serve.messages import read_value, write_value
from pipelines.serve.search_messages import read_request, read_result, write_request, write_result
from tests.pipelines.search.strategies import filters, requests
from tests.pipelines.search.world import make_world

WORLD = make_world(0, 12)
ENGINE = Engine(WORLD.reader(), WORLD.checkpoint)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(requests(WORLD))
def test_requests_and_results_arrive_as_they_were(request: SearchRequest) -> None:
    message = search_pb2.SearchRequest.FromString(write_request(request).SerializeToString())
    assert repr(read_request(message)) == repr(request)
    result = ENGINE.search(request)
    arrived = read_result(search_pb2.SearchResponse.FromString(write_result(result).SerializeToString()))
    assert arrived.hits == result.hits and arrived.next_page_token == result.next_page_token
    assert arrived.timings == pytest.approx(result.timings, abs=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(filters())
def test_filters_arrive_as_they_were(filter_: Any) -> None:
    message = filter_pb2.Filter.FromString(write_filter(filter_).SerializeToString())
    assert repr(read_filter(message)) == repr(filter_)


def test_an_empty_message_is_an_empty_request() -> None:
    assert read_request(search_pb2.SearchRequest()) == SearchRequest()
    assert read_request(search_pb2.SearchRequest(image=b"")).image == b""


@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        ("text", "text"),
        ("", ""),
        (True, True),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**63, str(2**63)),
        (1.5, 1.5),
        (Decimal("9.99"), 9.99),
        (datetime(2024, 1, 2, 3, 4, 5, 6, UTC), datetime(2024, 1, 2, 3, 4, 5, 6, UTC)),
        (datetime(2024, 1, 2), datetime(2024, 1, 2, tzinfo=UTC)),
        (datetime(2024, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))), datetime(2024, 1, 2, tzinfo=UTC)),
        (date(1899, 12, 31), datetime(1899, 12, 31, tzinfo=UTC)),
        (["a", 1], "['a', 1]"),
    ],
)
def test_metadata_values(value: Any, arrives: Any) -> None:
    message = value_pb2.Value()
    write_value(value, message)
    result = read_value(message, "x")
    assert result == arrives and type(result) is type(arrives)


def test_values_that_are_none_are_refused() -> None:
    for message in (value_pb2.Value(), value_pb2.Value(timestamp_value=timestamp_pb2.Timestamp(seconds=2**60))):
        with pytest.raises(RequestError):
            read_value(message, "x")


def test_deep_filters_are_stopped_by_the_parser() -> None:
    node: Any = write_filter(Negated(Negated(read_filter(leaf()))))
    for _ in range(200):
        outer = filter_pb2.Filter()
        outer.negated.CopyFrom(node)
        node = outer
    with pytest.raises(Exception, match=r"(?i)pars|deep|recurs"):
        filter_pb2.Filter.FromString(node.SerializeToString())


def leaf() -> filter_pb2.Filter:
    return filter_pb2.Filter(comparison={"column": "price", "operator": 1, "value": {"int_value": 1}})  # type: ignore[arg-type]
