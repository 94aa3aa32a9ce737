"""What several replicas count is one family each, with a label more."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.serve.replica_metrics import Counted, ReplicaMetrics


def counted(name: str, number: int) -> Counted:
    registry = CollectorRegistry()
    Counter("duet_things", "Things.", ("kind",), registry=registry).labels("odd").inc(number)
    Gauge("duet_level", "Level.", registry=registry).set(number)
    Histogram("duet_time_seconds", "Time.", buckets=(1, 10), registry=registry).observe(number)
    return Counted(name, list(registry.collect()))


def test_each_family_comes_once_with_all_samples() -> None:
    registry = CollectorRegistry()
    registry.register(ReplicaMetrics(lambda: [counted("a", 2), counted("b", 30)]))
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    names = [family.name for family in families if not family.name.endswith("_created")]
    assert names == ["duet_things", "duet_level", "duet_time_seconds"]
    for name, number in {"a": 2, "b": 30}.items():
        label = {"replica": name}
        assert registry.get_sample_value("duet_things_total", {"kind": "odd", **label}) == number
        assert registry.get_sample_value("duet_level", label) == number
        assert registry.get_sample_value("duet_time_seconds_sum", label) == number
        assert registry.get_sample_value("duet_time_seconds_bucket", {"le": "10.0", **label}) == (number < 10)


def test_without_replicas_there_is_nothing() -> None:
    registry = CollectorRegistry()
    registry.register(ReplicaMetrics(list))
    assert generate_latest(registry) == b""
