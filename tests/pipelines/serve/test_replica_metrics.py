"""What several replicas count is one family each, with a label more."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipelines.serve.changes import Changes
from pipelines.serve.replica_metrics import Counted, ReplicaMetrics, of_the_listener


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


def test_the_listener_has_what_no_replica_knows() -> None:
    registry = CollectorRegistry()
    registry.register(ReplicaMetrics(lambda: [of_the_listener(False, -1, 70, Changes(65, 1)), counted("a", 2)]))
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert {sample.labels.get("replica") for family in families for sample in family.samples} == {"", "a"}
    bare = {"replica": ""}  # to Prometheus an empty label is none
    assert registry.get_sample_value("duet_serving", bare) == 0
    assert registry.get_sample_value("duet_requests_waiting", bare) == 0
    assert registry.get_sample_value("duet_requests_limit", bare) == 70
    assert registry.get_sample_value("duet_changes_under_way", bare) == 0
    assert registry.get_sample_value("duet_changes_limit", bare) == 65
    assert registry.get_sample_value("process_resident_memory_bytes", bare) > 0
    ready = {family.name for family in of_the_listener(True, 3, 70, Changes(65, 1)).families}
    assert "duet_serving" not in ready, "replicas say so themselves"


def test_what_a_replica_works_on() -> None:
    registry = CollectorRegistry()
    Gauge("duet_requests_running", "Running.", registry=registry).set(3)
    assert Counted("a", list(registry.collect())).running == 3
    assert counted("a", 5).running == 0


def test_without_replicas_there_is_nothing() -> None:
    registry = CollectorRegistry()
    registry.register(ReplicaMetrics(list))
    assert generate_latest(registry) == b""
