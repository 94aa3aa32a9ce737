"""Who asks for the health once, and who watches it until the server ends."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from .shop import Running, Shop, make_shop, serving
from .test_lifecycle import NOT_SERVING, SERVING, health, until


def test_a_service_that_there_is_not_is_not_found(running: Running) -> None:
    with grpc.insecure_channel(running.target) as channel, pytest.raises(grpc.RpcError) as raised:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="none such"), timeout=10)
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_whoever_watches_is_told_of_the_first_snapshot(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 0, like=shop)
    with serving(own) as running, grpc.insecure_channel(running.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watch).status == NOT_SERVING
        own.stock(range(2))
        assert next(watch).status == SERVING


@pytest.mark.parametrize("count", [0, 3], ids=["NOT_SERVING", "SERVING"])
def test_whoever_watches_the_health_does_not_hold_the_end_up(shop: Shop, tmp_path: Path, count: int) -> None:
    own = make_shop(tmp_path, count, like=shop)
    with serving(own, drain_seconds=30) as running, grpc.insecure_channel(running.target) as channel:
        until(lambda: running.server.ready or not count)
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in ("", "", "none such")]
        until(lambda: health(running.target) == (SERVING if count else NOT_SERVING))
        first = [next(watch).status for watch in watches]
        began = time.monotonic()
        running.stop()
        assert time.monotonic() - began < 10
        assert first == [*[SERVING if count else NOT_SERVING] * 2, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN]
        said = [[one.status for one in watch] for watch in watches]
        assert said == [*[[NOT_SERVING] if count else []] * 2, []]
