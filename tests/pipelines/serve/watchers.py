"""Observers for tests, and what they need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from pipelines.serve.observing import Call, Observer

from .shop import Running


class Ended(Observer):
    """Keeps the calls that have ended."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def call_ended(self, call: Call) -> None:
        self.calls.append(call)


class Hold(Observer):
    """Holds the encoder after each batch until it may go on: whoever brought a picture waits."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def batch_encoded(self, pictures: int, seconds: float) -> None:
        self.go_on.wait(20)


class Broken(Observer):
    """Fails at everything."""

    def call_began(self, call: Call) -> None:
        raise RuntimeError("call_began")

    call_ended = search_ended = batch_encoded = picture_encoded = snapshot_switched = snapshot_failed = close = (
        call_began  # type: ignore[assignment]
    )


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


class Scrape:
    """What the metrics of a server say now."""

    def __init__(self, running: Running) -> None:
        with urlopen(f"http://127.0.0.1:{running.server.metrics_port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        self.families = list(text_string_to_metric_families(text))

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a sample; 0 of one that is not there."""
        found = [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and sample.labels == labels
        ]
        assert len(found) < 2
        return found[0] if found else 0.0

    @property
    def names(self) -> set[str]:
        """Of all samples."""
        return {sample.name for family in self.families for sample in family.samples}

    def labels(self, name: str) -> list[dict[str, str]]:
        """Of a metric's samples."""
        return [sample.labels for family in self.families for sample in family.samples if sample.name == name]
