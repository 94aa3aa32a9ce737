"""What docs/operating.md and the dashboard name exists: metrics, their labels, settings, lines of the log, reasons."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import BaseModel

from pipelines.ingest.settings import IngestSettings
from pipelines.serve.client import Client
from pipelines.serve.error_reasons import OTHER, REASONS
from pipelines.serve.errors import CODES, ServiceError
from pipelines.serve.settings import ServeSettings
from tests.conftest import ROOT

from .shop import Shop, picture, serving
from .watchers import Scrape, until

DOCUMENT = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
WATCHING = DOCUMENT[DOCUMENT.index("## Watching a server") :]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana/duet.json").read_text(encoding="utf-8"))
METRIC = re.compile(r"\b(?:duet|process)_[a-z_]+")
OURS = {"REPLICA_LOST": "ABORTED", "INTERNAL": "INTERNAL", "INDEX_DAMAGED": "DATA_LOSS", "NOT_READY": "UNAVAILABLE"}
OURS |= {"MODEL_FAILED": "INTERNAL", "CHECKPOINT_UNREADABLE": "FAILED_PRECONDITION"}
OURS |= {"INDEX_BUSY": "UNAVAILABLE", "INDEX_CONFLICT": "ABORTED", "PUBLICATION_REFUSED": "FAILED_PRECONDITION"}
OURS |= {"OVERLOADED": "RESOURCE_EXHAUSTED", "STOPPED": "DEADLINE_EXCEEDED"}


def expressions() -> list[str]:
    """All queries of the dashboard."""
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    queries += [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    queries += [one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    return queries


@pytest.fixture(scope="module")
def scrape(shop: Shop) -> Iterator[Scrape]:
    """Of a server with some traffic."""
    with serving(shop, metrics_port=0) as running, Client(running.target) as client:
        client.search(image=picture(1))
        with pytest.raises(ServiceError):
            client.item("none such")
        until(lambda: bool(Scrape(running).labels("duet_errors_total")))
        yield Scrape(running)


@pytest.mark.parametrize("text", [WATCHING, *expressions()], ids=lambda text: text.splitlines()[0])
def test_metrics_exist(scrape: Scrape, text: str) -> None:
    bare = re.sub(r"\w+\.json|DUET_\w+", "", text)
    assert METRIC.search(bare)
    # A histogram and a counter of which there was nothing yet are in the registry's families all the same.
    known = scrape.names | {
        f"{family.name}{suffix}"
        for family in scrape.families
        for suffix in {"histogram": ("", "_bucket", "_sum", "_count"), "counter": ("_total",)}.get(family.type, ("",))
    }
    assert set(METRIC.findall(bare)) <= known


def test_every_metric_is_in_the_dashboard(scrape: Scrape) -> None:
    shown = set(METRIC.findall(" ".join(expressions())))
    for family in scrape.families:
        if family.name.startswith("duet_") and not family.name.endswith("_created"):
            assert any(name.startswith(family.name) for name in shown), family.name


@pytest.mark.parametrize("query", expressions())
def test_labels_exist(scrape: Scrape, query: str) -> None:
    ours = {name for family in scrape.families for sample in family.samples for name in sample.labels}
    used = re.findall(r"(\w+)=~?\"", query) + [
        name for group in re.findall(r"by \(([^)]*)\)", query) for name in group.split(", ")
    ]
    assert set(used) <= ours | {"instance"}


def test_metrics_are_named_as_prometheus_wants(scrape: Scrape) -> None:
    for family in scrape.families:
        if not family.name.startswith("duet_") or family.name.endswith("_created"):
            continue
        assert family.documentation.endswith("."), family.name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples), family.name
        if "duration" in family.name or "age" in family.name:
            assert family.name.endswith("_seconds"), family.name


def test_the_dashboard_is_whole() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    (source,) = [one for one in DASHBOARD["templating"]["list"] if one["type"] == "datasource"]
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24 and panel["description"] and panel["targets"]
    cells = [
        (place["x"] + x, place["y"] + y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["w"])
        for y in range(place["h"])
    ]
    assert len(set(cells)) == len(cells), "panels overlap"


def names(kind: type[BaseModel], before: str = "--") -> Iterator[str]:
    """The options of a command."""
    for name, field in kind.model_fields.items():
        option = before + name.replace("_", "-")
        yield option
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from names(field.annotation, f"{option}.")


def test_settings_exist() -> None:
    known = {*names(ServeSettings), *names(IngestSettings), "--index"}
    named = set(re.findall(r"--[a-z][a-z.-]*[a-z]", WATCHING))
    assert {"--metrics-port", "--gate.max-loss"} <= named <= known


def test_lines_of_the_log_exist() -> None:
    files = [path for folder in ("cluster", "pipelines") for path in Path(ROOT, folder).rglob("*.py")]
    source = " ".join(path.read_text(encoding="utf-8") for path in files)
    quoted = {text for cell in re.findall(r'(?<![={])"([a-z][^"|{}]+)"', WATCHING) for text in cell.split(" … ")}
    assert {"serving snapshot", "nothing is published at", "cannot be read or written"} <= quoted
    assert {text for text in quoted if text not in source} == set()


def test_every_reason_is_in_the_table_with_its_code() -> None:
    listed: dict[str, str] = {}
    for row in re.findall(r"^\| (`[A-Z].*?) \| ([A-Z_]+|any) \| ", WATCHING, flags=re.MULTILINE):
        listed |= dict.fromkeys(re.findall(r"`([A-Z_]+)`", row[0]), row[1])
    codes = {reason: CODES.get(reason, grpc.StatusCode.INVALID_ARGUMENT).name for reason in REASONS} | OURS
    assert listed == codes | {OTHER: "any"}
