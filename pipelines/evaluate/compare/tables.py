"""The comparison as tables to read, and as rows for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from ..metrics import Floats
from ..tables import Table, percent
from .classes import ClassFigures
from .comparison import Figures, TaskComparison

TITLES = {
    "retrieval": "Attribute-specific retrieval",
    "multilabel": "Retrieval by sets of classes",
    "manipulation": "Manipulation, one class replaced",
    "multilabel manipulation": "Manipulation, one class added or removed",
    "several manipulations": "Manipulation of several attributes, classes replaced",
    "several multilabel manipulations": "Manipulation of several attributes, classes added or removed among them",
    "reranking": "Re-ranking by one attribute",
}
_WORST = 5  # classes shown of each system
_MAIN = ("MAP@all", "Top-20")  # of these, or else the first of a task, differences are shown
_CSV = (
    "task", "measure", "column", "queries", "system", "kind", "runs", "value", "low", "high", "spread",
    "difference", "difference_low", "difference_high", "p",
)  # fmt: skip


def means_table(part: TaskComparison, level: float, theirs: Sequence[tuple[str, float]] = ()) -> Table:
    """Per measure: chance, each system with its interval (the best in bold), its spread over runs, the ceiling.

    Args:
        part: the task.
        level: of the intervals.
        theirs: (system, MAP@all over all queries in %) that papers report.
    """
    rows: list[tuple[str, ...]] = []
    bold = set()
    for measure, figures in part.figures.items():
        rows.append((measure, "random", *map(percent, figures.chance)))
        best = figures.mean.max(0)
        for s, system in enumerate(part.systems):
            bold |= {(len(rows), 2 + c) for c in np.flatnonzero(figures.mean[s] == best).tolist()}
            rows.append((measure, system.name, *_with_interval(figures.mean[s], figures.low[s], figures.high[s])))
            if len(system.runs) > 1:
                rows.append((measure, f"± over {len(system.runs)} runs", *map(percent, figures.spread[s])))
        if figures.ceiling is not None:
            rows.append((measure, "ceiling", *map(percent, figures.ceiling)))
        if measure == "MAP@all":
            overall = part.columns.index("overall")
            for name, value in theirs:
                cells = (f"{value:.2f}" if c == overall else "" for c in range(len(part.columns)))
                rows.append((measure, f"{name} (theirs)", *cells))
    rows.append(("queries", "", *(f"{count:,}" for count in part.queries)))
    notes = [
        f"in brackets: {100 * level:g} % of the bootstrap's resamples of the {part.items:,} items that ask; "
        "overall: over all queries; macro: over columns",
    ]
    if theirs:
        notes.append("theirs: as the papers report it, from their own pictures, splits and training")
    return Table(TITLES[part.task], tuple(notes), ("%", "", *part.columns), tuple(rows), frozenset(bold))


def differences_table(part: TaskComparison, level: float) -> Table | None:
    """Each further system against the first, on the same queries, by the task's main measure; None without any."""
    if len(part.systems) == 1:
        return None
    main = (name for name in part.figures if name in _MAIN or name.endswith(" after"))
    measure = next(main, next(iter(part.figures)))
    figures, rows = part.figures[measure], []
    for s, system in enumerate(part.systems[1:], 1):
        cells = _with_interval(figures.difference[s], figures.difference_low[s], figures.difference_high[s], sign=True)
        rows += [(measure, system.name, *cells), ("p", system.name, *(f"{p:.3f}" for p in figures.p[s]))]
    title = f"{TITLES[part.task]}: difference from {part.systems[0].name}"
    note = f"in points, query by query; in brackets its {100 * level:g} % interval; p: two-sided, of no difference"
    return Table(title, (note,), ("points", "", *part.columns), tuple(rows))


def worst_table(figures: ClassFigures, systems: Sequence[str]) -> Table:
    """The classes with the lowest MAP@all of each system."""
    rows = []
    for s, name in enumerate(systems):
        for k in figures.worst(s, _WORST):
            attribute, chosen = figures.classes[k]
            cells = f"{figures.queries[k]:,}", percent(figures.chance[k]), percent(figures.mean[s, k])
            rows.append((name, f"{attribute}: {chosen}", *cells))
    note = "MAP@all over the queries about a class; the lowest of each system"
    return Table("Where each system fails most", (note,), ("%", "class", "queries", "random", "system"), tuple(rows))


def csv_text(parts: Sequence[TaskComparison], theirs: Sequence[tuple[str, float]] = ()) -> str:
    """Every figure in 0..1, a row each; empty where there is none. Its header names the columns."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _CSV, lineterminator="\n")
    writer.writeheader()
    for part in parts:
        for measure, figures in part.figures.items():
            for c, column in enumerate(part.columns):
                row = {"task": part.task, "measure": measure, "column": column, "queries": part.queries[c]}
                writer.writerow({**row, "system": "random", "kind": "random", "value": figures.chance[c]})
                for s, system in enumerate(part.systems):
                    own = {"system": system.name, "kind": "system", "runs": len(system.runs)}
                    writer.writerow({**row, **own, **_numbers(figures, s, c)})
                if figures.ceiling is not None:
                    writer.writerow({**row, "system": "ceiling", "kind": "ceiling", "value": figures.ceiling[c]})
    for name, value in theirs:
        row = {"task": "retrieval", "measure": "MAP@all", "column": "overall"}
        writer.writerow({**row, "system": name, "kind": "published", "value": value / 100})
    return stream.getvalue()


def _numbers(figures: Figures, s: int, c: int) -> dict[str, float]:
    names = ("low", "high", "spread", "difference", "difference_low", "difference_high", "p")
    values = {"value": figures.mean[s, c]} | {name: getattr(figures, name)[s, c] for name in names}
    return {name: float(value) for name, value in values.items() if not np.isnan(value)}


def _with_interval(mean: Floats, low: Floats, high: Floats, *, sign: bool = False) -> list[str]:
    form = "+z.2f" if sign else "z.2f"  # z: no −0.00
    triples = zip(*(100 * values for values in (mean, low, high)), strict=True)
    return [f"{value:{form}} [{least:{form}}, {most:{form}}]" for value, least, most in triples]
