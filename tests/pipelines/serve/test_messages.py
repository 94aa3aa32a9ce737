from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import timestamp_pb2
from hypothesis import HealthCheck, given, settings

from pipelines.errors import RequestError
from pipelines.rpc.duet.v1 import filter_pb2, search_pb2, value_pb2
from pipelines.search.engine import Engine
from pipelines.search.filters import AllOf, Negated
from pipelines.search.limits import Limits
from pipelines.search.request import SearchRequest
from pipelines.serve import filter_messages, search_messages
from pipelines.serve.filter_messages import read_filter, write_filter
from pipelines.serve.messages import read_value, write_value
from pipelines.serve.pictures import Pictures
from pipelines.serve.search_messages import read_request, read_result, write_request, write_result
from tests.pipelines.search.strategies import filters, requests
from tests.pipelines.search.world import make_world

WORLD = make_world(0, 12)
ENGINE = Engine(WORLD.reader(), WORLD.checkpoint)
LIMITS = Limits()
NO_PICTURES = Pictures((), LIMITS)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(requests(WORLD))
def test_requests_and_results_arrive_as_they_were(request: SearchRequest) -> None:
    message = search_pb2.SearchRequest.FromString(write_request(request).SerializeToString())
    assert repr(read_request(message, LIMITS, NO_PICTURES)) == repr(request)
    result = ENGINE.search(request)
    arrived = read_result(search_pb2.SearchResponse.FromString(write_result(result).SerializeToString()))
    assert arrived.hits == result.hits and arrived.next_page_token == result.next_page_token
    assert arrived.timings == pytest.approx(result.timings, abs=1e-9)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(filters())
def test_filters_arrive_as_they_were(filter_: Any) -> None:
    message = filter_pb2.Filter.FromString(write_filter(filter_).SerializeToString())
    assert repr(read_filter(message, LIMITS)) == repr(filter_)


def test_an_empty_message_is_an_empty_request() -> None:
    assert read_request(search_pb2.SearchRequest(), LIMITS, NO_PICTURES) == SearchRequest()
    assert read_request(search_pb2.SearchRequest(image=b""), LIMITS, NO_PICTURES).image == b""


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


def leaf() -> filter_pb2.Filter:
    return filter_pb2.Filter(comparison={"column": "price", "operator": 1, "value": {"int_value": 1}})  # type: ignore[arg-type]


def many(count: int) -> filter_pb2.FilterList:
    return filter_pb2.FilterList(filters=[leaf()] * count)


def members(count: int) -> filter_pb2.Filter:
    return filter_pb2.Filter(membership={"column": "price", "values": [{"int_value": 1}] * count})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        ({"attributes": [{}] * 33}, "TOO_MANY", "attributes"),
        ({"attributes": [{}, {"classes": ["a"] * 40, "excluded_classes": ["b"] * 25}]}, "TOO_MANY", ".classes"),
        ({"manipulations": [{}] * 17}, "TOO_MANY", "manipulations"),
        ({"filter": {"all_of": many(64)}}, "FILTER_TOO_LARGE", "filter"),
        (
            {"filter": {"any_of": {"filters": [{"all_of": many(40)}, {"all_of": many(40)}]}}},
            "FILTER_TOO_LARGE",
            "filter",
        ),
        ({"filter": {"negated": members(1001)}}, "FILTER_INVALID", "filter.negated.membership.values"),
    ],
)
def test_more_than_the_limits_is_refused_before_it_is_expanded(
    request_: dict[str, Any], reason: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = Counter[str]()
    for module, name in (
        (search_messages, "AttributeCondition"),
        (search_messages, "Manipulation"),
        (filter_messages, "read_value"),
    ):
        monkeypatch.setattr(module, name, counting(built, name, getattr(module, name)))
    with pytest.raises(RequestError) as caught:
        read_request(search_pb2.SearchRequest(**request_), LIMITS, NO_PICTURES)
    assert caught.value.reason == reason and caught.value.field.endswith(field)
    assert set(built) <= {"read_value"} and built["read_value"] < 64


def counting(built: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        built[name] += 1
        return function(*arguments, **named)

    return counted


def test_as_much_as_the_limits_allow_is_read() -> None:
    message = search_pb2.SearchRequest(
        attributes=[{"classes": ["a"] * 64}] * 32, manipulations=[{}] * 16, filter={"all_of": many(63)}
    )
    request = read_request(message, LIMITS, NO_PICTURES)
    assert (len(request.attributes), len(request.manipulations)) == (32, 16)
    assert isinstance(request.filter, AllOf) and len(request.filter.filters) == 63


def test_deep_filters_are_stopped_by_the_parser() -> None:
    node: Any = write_filter(Negated(Negated(read_filter(leaf(), LIMITS))))
    for _ in range(200):
        outer = filter_pb2.Filter()
        outer.negated.CopyFrom(node)
        node = outer
    with pytest.raises(Exception, match=r"(?i)pars|deep|recurs"):
        filter_pb2.Filter.FromString(node.SerializeToString())
