"""The comparison as tables to read, and as rows for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from ..metrics import Floats
from ..tables import Table, percent
from .classes import ClassFigures
from .comparison import Figures, TaskComparison
from .pairs import MEASURE, PairFigures
from .published import Published
from .thresholds import ThresholdCurves

TITLES = {
    "retrieval": "Attribute-specific retrieval",
    "multilabel": "Retrieval by sets of classes",
    "manipulation": "Manipulation, one class replaced",
    "multilabel manipulation": "Manipulation, one class added or removed",
    "several manipulations": "Manipulation of several attributes, classes replaced",
    "several multilabel manipulations": "Manipulation of several attributes, classes added or removed among them",
    "reranking": "Re-ranking by one attribute",
    "triplets": "Triplet accuracy",
}
_WORST = 5  # classes shown of each system
_PAIRS = 6  # of classes shown of each attribute
_MAIN = ("MAP@all", "Top-20")  # of these, or else the first of a task, differences are shown
_CSV = (
    "task", "measure", "column", "queries", "system", "kind", "runs", "value", "low", "high", "spread",
    "difference", "difference_low", "difference_high", "p",
)  # fmt: skip


def means_table(part: TaskComparison, level: float, theirs: Sequence[Published] = ()) -> Table:
    """Per measure: chance, each system with its interval (the best in bold), its spread over runs, the ceiling.

    Args:
        part: the task.
        level: of the intervals.
        theirs: what papers report of this task and others.
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
        for table in theirs:
            if (table.task, table.measure) == (part.task, measure):
                # By its place: an attribute may be called so, too.
                column = len(part.columns) - (2 if table.column == "overall" else 1)
                for name, value in table.figures.items():
                    cells = (f"{value:.2f}" if c == column else "" for c in range(len(part.columns)))
                    rows.append((measure, f"{name} (theirs)", *cells))
    rows.append(("queries", "", *(f"{count:,}" for count in part.queries)))
    notes = [
        f"in brackets: {100 * level:g} % of the bootstrap's resamples of the {part.items:,} items that ask; "
        "overall: over all queries; macro: over columns",
    ]
    if any(table.task == part.task and table.measure in part.figures for table in theirs):
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
    notes = (
        f"in points, query by query; in brackets its {100 * level:g} % interval; p: two-sided, of no difference",
        "of these weights: runs are averaged first, and what another training would give, only more seeds tell",
    )
    return Table(title, notes, ("points", "", *part.columns), tuple(rows))


def worst_table(figures: ClassFigures, systems: Sequence[str]) -> Table:
    """The classes on which each system makes least of what chance leaves, and what the best system makes of them."""
    rows = []
    for s, name in enumerate(systems):
        for k in figures.worst(s, _WORST):
            attribute, chosen = figures.classes[k]
            values = (percent(value) for value in (figures.chance[k], figures.mean[s, k], figures.mean[:, k].max()))
            rows.append((name, f"{attribute}: {chosen}", f"{figures.queries[k]:,}", *values))
    note = (
        "MAP@all over the queries about a class, of classes with ten queries or more if there are such; the lowest of "
        "each system between chance and 1"
    )
    columns = ("%", "class", "queries", "random", "system", "best system")
    return Table("Where each system fails most", (note,), columns, tuple(rows))


def pairs_table(figures: PairFigures) -> Table:
    """MAP@all of the most frequent pairs of classes, a column each, and of all pairs; the best in bold."""
    shown = slice(_PAIRS)
    values = np.concatenate([figures.chance[None], figures.mean])
    values = np.column_stack([values[:, shown], np.average(values, axis=1, weights=figures.queries)])
    best = np.argwhere(values[1:] == values[1:].max(0))
    names = ("random", *figures.systems)
    rows = [(MEASURE, name, *map(percent, row)) for name, row in zip(names, values.tolist(), strict=True)]
    rows.append(("queries", "", *(f"{count:,}" for count in figures.queries[shown]), f"{figures.queries.sum():,}"))
    rows.append(("carry both", "", *(f"{count:,.0f}" for count in figures.together[shown]), ""))
    notes = (
        "the query asks for two given classes; relevant: carries both",
        "carry both: items of the gallery beside the query; the pairs that most items carry stand first",
    )
    bold = frozenset((1 + s, 2 + c) for s, c in best.tolist())
    columns = ("%", "", *(" + ".join(pair) for pair in figures.pairs[shown]), f"all {len(figures.pairs):,} pairs")
    return Table(f"Co-occurring classes: {figures.attribute}", notes, columns, tuple(rows), bold)


def csv_text(
    parts: Sequence[TaskComparison],
    theirs: Sequence[Published] = (),
    more: Iterable[Mapping[str, object]] = (),
) -> str:
    """Every figure in 0..1, a row each; empty where there is none. Its header names the columns.

    Args:
        parts: the tasks.
        theirs: as in `means_table`.
        more: further rows (`pair_rows`, `threshold_rows`).
    """
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
    for table in theirs:
        row = {"task": table.task, "measure": table.measure, "column": table.column}
        for name, value in table.figures.items():
            writer.writerow({**row, "system": name, "kind": "published", "value": value / 100})
    writer.writerows(more)
    return stream.getvalue()


def pair_rows(pairs: Sequence[PairFigures]) -> Iterator[dict[str, object]]:
    """All pairs of classes, for `csv_text`: of the task ``co-occurring classes``, the pair as the column."""
    for part in pairs:
        for p, pair in enumerate(part.pairs):
            column = f"{part.attribute}: {' + '.join(pair)}"
            row = {"task": "co-occurring classes", "measure": MEASURE, "column": column, "queries": part.queries[p]}
            yield {**row, "system": "random", "kind": "random", "value": part.chance[p]}
            for name, mean in zip(part.systems, part.mean[:, p], strict=True):
                yield {**row, "system": name, "kind": "system", "value": mean}


def threshold_rows(curves: Sequence[ThresholdCurves]) -> Iterator[dict[str, object]]:
    """The study of γ, for `csv_text`: of the task ``threshold``, the attribute and γ as the column."""
    for curve in curves:
        for name, values in curve.maps.items():
            for threshold, value in zip(curve.thresholds, values.tolist(), strict=True):
                row = {"task": "threshold", "measure": MEASURE, "column": f"{name}, γ = {threshold:g}"}
                known = {} if np.isnan(value) else {"value": value}
                yield {**row, "system": curve.system, "kind": "system", **known}


def _numbers(figures: Figures, s: int, c: int) -> dict[str, float]:
    names = ("low", "high", "spread", "difference", "difference_low", "difference_high", "p")
    values = {"value": figures.mean[s, c]} | {name: getattr(figures, name)[s, c] for name in names}
    return {name: float(value) for name, value in values.items() if not np.isnan(value)}


def _with_interval(mean: Floats, low: Floats, high: Floats, *, sign: bool = False) -> list[str]:
    form = "+z.2f" if sign else "z.2f"  # z: no −0.00
    triples = zip(*(100 * values for values in (mean, low, high)), strict=True)
    return [f"{value:{form}} [{least:{form}}, {most:{form}}]" for value, least, most in triples]
