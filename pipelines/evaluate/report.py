"""The report of an evaluation: all figures as JSON, and as tables to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.taxonomy import Taxonomy
from pipelines.data.writing import digest_of, write_text

from .figures import figures, manipulation_figures, retrieval_figures, triplet_figures
from .manipulation import ManipulationResult, ManipulationScores
from .multilabel import MultiLabelScores
from .query_table import FILE
from .reranking import RerankingResult
from .retrieval import RetrievalResult
from .scores import Summary, summarise
from .sensitivity import Sensitivity
from .settings import EvaluateSettings
from .tables import Table, markdown, percent, side_by_side
from .triplets import TripletAccuracy

FORMAT = 3
DENOMINATORS = {"min": "min(R, K)", "all": "R", "hits": "the hits among the first K"}
RELEVANCE = {
    "class": "one query per item and class; relevant: carries that class",
    "any": "one query per item; relevant: shares a class with it",
    "exact": "one query per item; relevant: has the same classes",
}


@dataclass(frozen=True)
class Report:
    """What was evaluated, how, and the figures.

    Attributes:
        system: the encoder's name.
        model: facts about it.
        data: facts about the items.
        taxonomy: the encoder's.
        settings: of the run.
        has_classes: whether the encoder has a class level.
        retrieval, multilabel, manipulation, triplets, reranking, sensitivity: the results; no manipulation without a
            global head, and None for what was not asked for.
    """

    system: str
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    taxonomy: Taxonomy
    settings: EvaluateSettings
    has_classes: bool
    retrieval: RetrievalResult
    multilabel: Mapping[tuple[str, int], MultiLabelScores]
    manipulation: ManipulationResult | None
    triplets: TripletAccuracy | None = None
    reranking: RerankingResult | None = None
    sensitivity: Sensitivity | None = None

    def to_json(self) -> dict[str, Any]:
        """All figures, in 0..1; null where there was no query."""
        zero = self.settings.retrieval.zero
        multilabel = [
            {"attribute": name, "classes": size, "available": part.available, **figures(summarise(part.scores, zero))}
            for (name, size), part in self.multilabel.items()
        ]
        reranking = None
        if self.reranking is not None:
            reranking = {
                "attributes": {name: figures(summary) for name, summary in self.reranking.summaries.items()},
                "overall": figures(self.reranking.overall),
                "macro": figures(self.reranking.macro),
            }
        return {
            "format": FORMAT,
            "system": self.system,
            "model": dict(self.model),
            "data": dict(self.data),
            "taxonomy": self.taxonomy.to_json(),
            "settings": self.settings.model_dump(mode="json"),
            "retrieval": retrieval_figures(self.retrieval),
            "multilabel": multilabel,
            "manipulation": None if self.manipulation is None else manipulation_figures(self.manipulation),
            "triplets": None if self.triplets is None else triplet_figures(self.triplets),
            "reranking": reranking,
            "sensitivity": None if self.sensitivity is None else self.sensitivity.to_json(),
        }

    def tables(self) -> list[Table]:
        """Retrieval, retrieval by sets of classes, manipulation; those that have a query."""
        tables = [self._retrieval_table()]
        zero = self.settings.retrieval.zero
        if self.multilabel:
            columns = [
                (f"{name}, {size} classes", summarise(part.scores, zero), _of(len(part.scores), part.available))
                for (name, size), part in self.multilabel.items()
            ]
            notes = ["the query's classes are given; relevant: carries all of them", *self._cut_notes()]
            tables.append(side_by_side("Retrieval by sets of classes", notes, self.system, columns))
        if self.manipulation is not None:
            single, multi = self.manipulation.single, self.manipulation.multi
            hit = "hit: all single-label attributes equal the target's; NDCG gain: the share of them that does"
            share = (
                "of the target's classes, the share that an item carries: its mean over the K nearest, and NDCG's gain"
            )
            if self.manipulation.single_mean:
                tables.append(
                    self._manipulation_table(
                        "Manipulation, one class replaced", hit, single, self.manipulation.single_mean
                    )
                )
            if self.manipulation.multi_mean:
                tables.append(
                    self._manipulation_table(
                        "Manipulation, one class added or removed", share, multi, self.manipulation.multi_mean
                    )
                )
            if self.manipulation.several_single:
                title = "Manipulation of several attributes, classes replaced"
                tables.append(self._several_table(title, hit, self.manipulation.several_single))
            if self.manipulation.several_multi:
                title = "Manipulation of several attributes, classes added or removed among them"
                tables.append(self._several_table(title, share, self.manipulation.several_multi))
        if self.reranking is not None:
            tables.append(self._reranking_table(self.reranking))
        if self.sensitivity is not None:
            tables.append(self.sensitivity.table(self.system))
        if self.triplets is not None and len(self.triplets):
            tables.append(self._triplet_table(self.triplets))
        return tables

    def to_markdown(self) -> str:
        """The tables, with what they are about."""
        facts = [
            f"- {key.replace('_', ' ')}: {_fact(value)}"
            for part in (self.model, self.data)
            for key, value in part.items()
        ]
        return "\n".join(["# Evaluation", "", *facts, "", *map(markdown, self.tables())])

    def save(self, out: Path) -> None:
        """Write ``report.md`` and ``report.json`` into the folder, each at once, where the queries are already."""
        figures = {**self.to_json(), "queries_sha256": digest_of(out / FILE)}
        write_text(out / "report.md", self.to_markdown())
        write_text(out / "report.json", json.dumps(figures, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def _retrieval_table(self) -> Table:
        settings, result = self.settings.retrieval, self.retrieval
        roles = "the data set's own roles" if self.settings.roles else settings.roles
        notes = [f"{roles}; {RELEVANCE[settings.relevance]}"]
        if settings.labels == "listed":
            notes.append("a candidate stands for the classes of its rows among the roles alone")
        if settings.classes == "given":
            notes.append("the query's classes are GIVEN: a hint that a search by picture does not get")
        else:
            notes.append("the query's classes are predicted")
        if not self.has_classes:
            notes.append("no class level: attribute similarity decides within every tier")
        columns = [*result.summaries.items(), ("overall", result.overall), ("macro", result.macro)]
        return side_by_side(
            "Attribute-specific retrieval",
            [*notes, *self._cut_notes()],
            self.system,
            [(name, summary, f"{summary.queries:,}") for name, summary in columns],
        )

    def _manipulation_table(
        self, title: str, note: str, parts: Mapping[str, ManipulationScores], mean: Summary
    ) -> Table:
        columns = [(name, part.summary, _of(len(part.scores), part.available)) for name, part in parts.items()]
        total, available = (sum(len(p.scores) for p in parts.values()), sum(p.available for p in parts.values()))
        return side_by_side(title, [note], self.system, [*columns, ("mean", mean, _of(total, available))])

    def _several_table(self, title: str, note: str, parts: Mapping[int, ManipulationScores]) -> Table:
        columns = [
            (f"{size} attributes", part.summary, _of(len(part.scores), part.available)) for size, part in parts.items()
        ]
        return side_by_side(title, [f"{note}; mean over queries"], self.system, columns)

    def _reranking_table(self, result: RerankingResult) -> Table:
        space = "mean attribute" if self.manipulation is None else "global"
        notes = [f"the first K by {space} embeddings, before and after the attribute reorders them", *self._cut_notes()]
        summaries = [*result.summaries.items(), ("overall", result.overall), ("macro", result.macro)]
        columns = [(name, summary, f"{summary.queries:,}") for name, summary in summaries]
        return side_by_side("Re-ranking by one attribute", notes, self.system, columns)

    def _triplet_table(self, result: TripletAccuracy) -> Table:
        drawn = "drawn from the labels, each pair of classes as often as any other"
        file = self.settings.triplets.file
        note = f"nearer to the positive than to the negative, strictly; triplets {f'of {file}' if file else drawn}"
        parts = result.attributes.values()
        rows = (
            ("accuracy", "random", *["50.00"] * (len(parts) + 1)),
            ("accuracy", self.system, *(percent(part.accuracy) for part in parts), percent(result.overall)),
            ("triplets", "", *(f"{len(part.scores):,}" for part in parts), f"{len(result):,}"),
        )
        return Table("Triplet accuracy", (note,), ("%", "", *result.attributes, "overall"), rows)

    def _cut_notes(self) -> list[str]:
        settings = self.settings.retrieval
        kept = "count as 0" if settings.zero == "keep" else "are left out"
        divided = f"MAP@K is divided by {DENOMINATORS[settings.denominator]}"
        return [f"{divided}; queries to which nothing is relevant {kept}"]


def _fact(value: Any) -> str:
    return ", ".join(f"{name} {part}" for name, part in value.items()) if isinstance(value, Mapping) else str(value)


def _of(number: int, available: int) -> str:
    return f"{number:,}" if number == available else f"{number:,} of {available:,}"
