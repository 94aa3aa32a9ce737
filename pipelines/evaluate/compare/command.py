"""``duet evaluate compare``: folders of evaluations -> compare.md, compare.csv, compare.html."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc

from cluster.command import command
from cluster.settings import parse_settings
from pipelines.errors import DuetError

from ..query_table import of_task
from ..report import DENOMINATORS, RELEVANCE
from ..tables import Table, markdown, show
from .charts import draw_curves, draw_scatters
from .classes import ClassFigures, per_class
from .comparison import TaskComparison, compare
from .page import page
from .published import published
from .runs import Run, System, check_comparable, join_seeds, load_run
from .settings import CompareSettings
from .tables import csv_text, differences_table, means_table, worst_table

_PROG = "duet evaluate compare"
_CURVES = "over all queries of all attributes; dotted: what a random ranking scores"
_SCATTER = (
    "MAP@all of each class, the first system across, the other up: above the line the other is better. The area of a "
    "dot tells the number of queries; the classes that differ most are named"
)


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print the tables, and say where the reports lie."""
    settings = parse_settings(CompareSettings, argv, _PROG)
    runs = [load_run(folder) for folder in settings.runs]
    check_comparable(runs)
    systems = join_seeds(runs, each=settings.each)
    parts = compare(systems, settings)
    classes, theirs = per_class(systems), _published(runs[0], settings)
    tables = _tables(parts, settings, theirs)
    if classes is not None:
        tables.append(worst_table(classes, [system.name for system in systems]))
    settings.out.mkdir(parents=True, exist_ok=True)
    facts = _facts(systems)
    _write(settings.out / "compare.csv", csv_text(parts, theirs))
    lines = [*(f"- {fact}" for fact in facts), "- curves and pictures: compare.html"]
    _write(settings.out / "compare.md", "\n".join(["# Comparison", "", *lines, "", *map(markdown, tables)]))
    _write(settings.out / "compare.html", page(facts, tables, _pictures(systems, classes)))
    show(tables)
    print(f"page: {settings.out / 'compare.html'}; tables: {settings.out / 'compare.md'}, compare.csv")
    return 0


def _tables(
    parts: Sequence[TaskComparison], settings: CompareSettings, theirs: Sequence[tuple[str, float]]
) -> list[Table]:
    tables = []
    for part in parts:
        tables.append(means_table(part, settings.level, theirs if part.task == "retrieval" else ()))
        differences = differences_table(part, settings.level)
        if differences is not None:
            tables.append(differences)
    return tables


def _pictures(systems: Sequence[System], classes: ClassFigures | None) -> list[tuple[str, str, bytes]]:
    pictures = [("MAP@K and Recall@K", _CURVES, draw_curves(systems))]
    scatters = None if classes is None else draw_scatters(classes, [system.name for system in systems])
    if scatters is not None:
        pictures.append(("Class by class", _SCATTER, scatters))
    return pictures


def _published(run: Run, settings: CompareSettings) -> list[tuple[str, float]]:
    if settings.published is None:
        return []
    # An image with several queries about one attribute asks one for each class that it carries.
    retrieval = of_task(run.queries, "retrieval")
    asked = retrieval.group_by(["attribute", "item_id"]).aggregate([([], "count_all")])
    return list(published(settings.published, per_class=bool(pc.max(asked["count_all"]).as_py() > 1)).items())


def _facts(systems: Sequence[System]) -> list[str]:
    report = systems[0].runs[0].report
    retrieval, data = report["settings"]["retrieval"], report["data"]
    kept = "count as 0" if retrieval["zero"] == "keep" else "are left out"
    divided = f"MAP@K is divided by {DENOMINATORS[retrieval['denominator']]}"
    roles = "the data set's own roles" if report["settings"]["roles"] else retrieval["roles"]
    return [
        *(f"{system.name}: {', '.join(str(run.folder) for run in system.runs)}" for system in systems),
        f"{data['manifest']}, split {data['split']}: {data['items']:,} items",
        f"{roles}; {RELEVANCE[retrieval['relevance']]}",
        f"{divided}; queries to which nothing is relevant {kept}",
    ]


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
