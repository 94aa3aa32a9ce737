"""``duet evaluate compare``: folders of evaluations -> compare.md, compare.csv, compare.html."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc

from cluster.command import command
from cluster.settings import parse_settings
from pipelines.data.writing import make_folder, write_text
from pipelines.errors import DuetError

from ..query_table import of_task
from ..report import DENOMINATORS, RELEVANCE
from ..tables import Table, markdown, show
from .charts import draw_curves, draw_scatters, draw_thresholds
from .classes import ClassFigures, per_class
from .comparison import TaskComparison, compare
from .page import Picture, page
from .pairs import co_occurring
from .published import Published, published
from .runs import Run, System, check_comparable, join_seeds, load_run
from .settings import CompareSettings
from .sheets import draw_sheets
from .tables import (
    csv_text,
    differences_table,
    means_table,
    pair_rows,
    pairs_table,
    threshold_rows,
    worst_table,
)
from .thresholds import ThresholdCurves, threshold_curves

_PROG = "duet evaluate compare"
_CURVES = "over all queries of all attributes; dotted: what a random ranking scores"
_SCATTER = (
    "MAP@all of each class, the first system across, the other up: above the line the other is better. The area of a "
    "dot tells the number of queries; the classes that differ most are named"
)
_THRESHOLDS = (
    "MAP@all where the classes above γ are predicted; a ring marks the γ of all tables. Single-label attributes do "
    "not depend on γ, nor do systems that do not put classes first"
)


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Compare, print the tables, and say where the reports lie."""
    settings = parse_settings(CompareSettings, argv, _PROG)
    runs = [load_run(folder) for folder in settings.runs]
    check_comparable(runs)
    make_folder(settings.out)
    systems = join_seeds(runs, each=settings.each)
    parts = compare(systems, settings)
    classes, theirs = per_class(systems), _published(runs[0], settings)
    tables = tables_of(parts, settings, theirs)
    pairs, curves = co_occurring(systems), threshold_curves(systems)
    tables += [pairs_table(one) for one in pairs]
    if classes is not None:
        tables.append(worst_table(classes, [system.name for system in systems]))
    facts = _facts(systems)
    facts += _differing(parts, theirs)
    sheets: list[Picture] = []
    try:
        sheets = draw_sheets(systems, settings.sheets, settings.seed) if settings.sheets else []
    except (DuetError, OSError) as error:  # pictures may have gone where figures are still there
        facts.append(f"no contact sheets: {error}")
        print(facts[-1], file=sys.stderr)
    rows = csv_text(parts, theirs, [*pair_rows(pairs), *threshold_rows(curves)])
    write_comparison(settings.out, facts, tables, charts_of(systems, classes, curves), sheets, rows)
    return 0


def write_comparison(
    out: Path,
    facts: Sequence[str],
    tables: Sequence[Table],
    charts: Sequence[Picture],
    sheets: Sequence[Picture],
    rows: str,
) -> None:
    """Write compare.csv (its text: `rows`), compare.md and compare.html into a folder, and print the tables."""
    write_text(out / "compare.csv", rows)
    lines = [f"- {fact}" for fact in facts]
    if charts or sheets:
        lines.append("- curves and pictures: compare.html")
    write_text(out / "compare.md", "\n".join(["# Comparison", "", *lines, "", *map(markdown, tables)]))
    write_text(out / "compare.html", page(facts, tables, charts, sheets))
    show(tables)
    print(f"page: {out / 'compare.html'}; tables: {out / 'compare.md'}, compare.csv")


def tables_of(
    parts: Sequence[TaskComparison], settings: CompareSettings, theirs: Sequence[Published] = ()
) -> list[Table]:
    """The means of each task, and the differences from the first system."""
    tables = []
    for part in parts:
        tables.append(means_table(part, settings.level, theirs))
        differences = differences_table(part, settings.level)
        if differences is not None:
            tables.append(differences)
    return tables


def charts_of(
    systems: Sequence[System], classes: ClassFigures | None, curves: Sequence[ThresholdCurves]
) -> list[Picture]:
    """The charts of a comparison that there is something to draw for."""
    scatters = None if classes is None else draw_scatters(classes, [system.name for system in systems])
    charts = [
        ("MAP@K and Recall@K", _CURVES, draw_curves(systems)),
        ("Sensitivity to the threshold of predicted classes", _THRESHOLDS, draw_thresholds(curves)),
        ("Class by class", _SCATTER, scatters),
    ]
    return [Picture(title, note, data) for title, note, data in charts if data is not None]


def _published(run: Run, settings: CompareSettings) -> tuple[Published, ...]:
    if settings.published is None:
        return ()
    # An image with several queries about one attribute asks one for each class that it carries.
    retrieval = of_task(run.queries, "retrieval")
    asked = retrieval.group_by(["attribute", "item_id"]).aggregate([([], "count_all")])
    per_class = pc.max(asked["count_all"]).as_py() > 1
    listed = run.report["settings"]["retrieval"].get("labels") == "listed"
    return published(settings.published, per_class=per_class and not listed)


def _differing(parts: Sequence[TaskComparison], theirs: Sequence[Published]) -> list[str]:
    """Where the papers' figures have no counterpart, or are of more or fewer attributes."""
    facts = []
    for table in theirs:
        told = f"the papers' {table.measure} of {table.task}"
        columns = [part.columns for part in parts if part.task == table.task and table.measure in part.figures]
        if not columns:
            facts.append(f"{told}: no run has it")
        elif len(columns[0]) - 2 != table.attributes:
            facts.append(f"{told} is of {table.attributes} attributes, not of {len(columns[0]) - 2}")
    return facts


def _facts(systems: Sequence[System]) -> list[str]:
    report = systems[0].runs[0].report
    retrieval, data = report["settings"]["retrieval"], report["data"]
    kept = "count as 0" if retrieval["zero"] == "keep" else "are left out"
    divided = f"MAP@K is divided by {DENOMINATORS[retrieval['denominator']]}"
    roles = "the data set's own roles" if report["settings"]["roles"] else retrieval["roles"]
    if retrieval.get("labels") == "listed":
        roles += ", where candidates stand for the classes of their rows alone"
    return [
        *(f"{system.name}: {', '.join(str(run.folder) for run in system.runs)}" for system in systems),
        f"{data['manifest']}, split {data['split']}: {data['items']:,} items",
        f"{roles}; {RELEVANCE[retrieval['relevance']]}",
        f"{divided}; queries to which nothing is relevant {kept}",
    ]
