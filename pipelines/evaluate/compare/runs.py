"""Runs: evaluations from their folders, whether they may be compared, and which are seeds of one system."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.data.writing import digest_of
from pipelines.errors import DuetError

from ..query_table import FILE, TASKS, measures, of_task, read_queries
from ..report import FORMAT

_SAME = ("denominator", "zero")  # what the queries themselves do not show


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        folder: that it wrote.
        system: what was evaluated; names the hint where the query's classes were given.
        report: its ``report.json``.
        queries: its ``queries.parquet``.
    """

    folder: Path
    system: str
    report: dict[str, Any]
    queries: pa.Table


@dataclass(frozen=True)
class System:
    """A row of the tables: a name, and the runs (seeds) that it is the mean of."""

    name: str
    runs: tuple[Run, ...]


def load_run(folder: Path) -> Run:
    """Read an evaluation's folder. Raises `DuetError` where it is none, or one of an older version."""
    path = folder / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DuetError(f"{path}: {error.strerror}; a RUN is a folder that `duet evaluate --out` wrote") from error
    except ValueError as error:
        raise DuetError(f"{path}: not the report of an evaluation ({error})") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise DuetError(f"{path}: not a report of this version; run `duet evaluate` again")
    queries = read_queries(folder)
    if report["queries_sha256"] != digest_of(folder / FILE):
        raise DuetError(
            f"{folder}: {FILE} is not of this report.json (a later evaluation ended early?); evaluate again"
        )
    given = report["settings"]["retrieval"]["classes"] == "given"
    return Run(folder, report["system"] + (" (classes given)" if given else ""), report, queries)


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise `DuetError` unless all runs ask the same queries of the same galleries, and count them the same way."""
    first = runs[0]
    for run in runs[1:]:
        for name in _SAME:
            mine, theirs = (one.report["settings"]["retrieval"][name] for one in (run, first))
            if mine != theirs:
                raise DuetError(
                    f"{run.folder}: --retrieval.{name} is {mine!r}, but {theirs!r} in {first.folder}; "
                    "evaluate both in the same way"
                )
    for task in TASKS:
        parts = [(run, of_task(run.queries, task)) for run in runs]
        having = [(run, part) for run, part in parts if len(part)]
        if task == "retrieval" and len(having) < len(runs):
            empty = next(run for run, part in parts if not len(part))
            raise DuetError(f"{empty.folder}: has no query of retrieval, so there is nothing to compare")
        common = set.intersection(*(set(measures(part)) for _, part in having)) if having else set()
        if having and not common:
            raise DuetError(
                f"of {task}, the runs have no measure in common; evaluate them with the same --{_section(task)}.ks"
            )
        for run, part in having[1:]:
            if fault := _difference(part, having[0][1]):
                raise DuetError(f"{run.folder}: not comparable with {having[0][0].folder}: of {task}, {fault}")
    for run in runs[1:]:
        mine, theirs = (one.report["data"]["galleries"] for one in (run, first))
        for attribute in sorted(mine.keys() & theirs.keys()):
            if mine[attribute] != theirs[attribute]:
                raise DuetError(
                    f"{run.folder}: the gallery of {attribute} is not that of {first.folder} (other items or labels)"
                )


def join_seeds(runs: Sequence[Run], *, each: bool) -> list[System]:
    """The systems, in the order of their first runs.

    Args:
        runs: at least one.
        each: every run is a system of its own, named after its folder where several have one name.

    Raises:
        DuetError: two runs to be joined are of one checkpoint: that is no second seed.
    """
    count = Counter(run.system for run in runs)
    if each:
        short = Counter((run.system, run.folder.name) for run in runs)
        names = [run.folder.name if short[run.system, run.folder.name] == 1 else str(run.folder) for run in runs]
        return [
            System(run.system if count[run.system] == 1 else f"{run.system}, {name}", (run,))
            for run, name in zip(runs, names, strict=True)
        ]
    systems = []
    for name, own in _of_one_encoder(runs).items():
        seen: dict[str, Run] = {}
        for run in own:
            digest = run.report["model"]["digest"]
            if digest in seen:
                both = f"{seen[digest].folder} and {run.folder}"
                raise DuetError(f"{both} are of one checkpoint of {name}: give one, or --each")
            seen[digest] = run
        systems.append(System(name, tuple(own)))
    return systems


def _section(task: str) -> str:
    """The settings whose K a task is measured at."""
    return "manipulation" if "manipulation" in task else "reranking" if task == "reranking" else "retrieval"


def _of_one_encoder(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by name: of the system, and of what tells its encoders apart where the runs have several."""
    groups: dict[str, list[tuple[dict[str, Any], list[Run]]]] = {}
    for run in runs:
        facts = _encoder(run)
        for known, own in groups.setdefault(run.system, []):
            if known == facts:
                own.append(run)
                break
        else:
            groups[run.system].append((facts, [run]))
    named = {}
    for system, parts in groups.items():
        varying = [key for key in parts[0][0] if any(facts.get(key) != parts[0][0][key] for facts, _ in parts)]
        for facts, own in parts:
            told = ", ".join(f"{key} {facts.get(key)}" for key in varying)
            named[f"{system}, {told}" if told else system] = own
    return named


def _encoder(run: Run) -> dict[str, Any]:
    """What makes two checkpoints of one system more than two seeds of it."""
    model = run.report["model"]
    return {key: value for part in ("encoder", "image") for key, value in model.get(part, {}).items()}


def _difference(mine: pa.Table, theirs: pa.Table) -> str | None:
    """What tells the queries of a task apart, in words; None if nothing does."""
    asked, place = ("attribute", "item_id", "class", "set"), ("gallery", "relevant")
    if len(mine) == len(theirs) and all(mine[name].equals(theirs[name]) for name in asked):
        if all(mine[name].equals(theirs[name]) for name in place):
            return None
        for one, other in zip(mine.to_pylist(), theirs.to_pylist(), strict=True):
            if any(one[name] != other[name] for name in place):
                sizes = [f"{row['gallery']:,} candidates, {row['relevant']:,} relevant" for row in (one, other)]
                return f"the query {_words(one)} has {sizes[0]} here and {sizes[1]} there"
    here, there = (Counter(_words(row) for row in part.select(asked).to_pylist()) for part in (mine, theirs))
    more, fewer = here - there, there - here
    if not more and not fewer:
        return "the same queries stand in another order, as the encoders' classes do"
    lines = [
        f"{sum(only.values()):,} queries are asked {where} only, such as {next(iter(only))}"
        for only, where in ((more, "here"), (fewer, "there"))
        if only
    ]
    return "; ".join(lines)


def _words(row: dict[str, Any]) -> str:
    about = [row["class"]] if row["class"] else row["set"] or []
    return f"({', '.join([row['attribute'], row['item_id'], *about])})"
