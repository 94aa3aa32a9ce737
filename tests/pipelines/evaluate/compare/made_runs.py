"""Folders of evaluations of random sets, as `duet evaluate` writes them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from model.manipulation import ManipulationHead
from pipelines.evaluate.compare.runs import Run, load_run
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.manipulation import evaluate_manipulation
from pipelines.evaluate.multilabel import evaluate_multilabel
from pipelines.evaluate.query_table import query_table, save_queries
from pipelines.evaluate.report import Report
from pipelines.evaluate.reranking import evaluate_reranking
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.settings import EvaluateSettings

from ..random_sets import random_embedded


def system(seed: int, *, wrong: float = 0.3, items: int = 40, labels: int = 0) -> Embedded:
    """The same items and labels, whatever the seed, seen by a system that mistakes a share of the classes."""
    base = random_embedded(labels, items, classes=False)
    rng = np.random.default_rng(seed)
    predicted = np.where(rng.random(base.carried.shape) < wrong, base.predicted, base.carried)
    vectors = rng.standard_normal(base.attribute_embeddings.shape).astype(np.float32)
    return dataclasses.replace(base, predicted=predicted, attribute_embeddings=vectors)


def write_run(
    folder: Path, embedded: Embedded, name: str = "m3net", head: ManipulationHead | None = None, **settings: object
) -> Path:
    """Evaluate a set into a folder; returns the folder, whose name is the checkpoint's digest."""
    folder.mkdir(parents=True)
    chosen = EvaluateSettings(checkpoint=folder, manifest=["items.parquet"], out=folder, **settings)  # type: ignore[arg-type]
    retrieval = evaluate_retrieval(embedded, chosen.retrieval)
    multilabel = evaluate_multilabel(embedded, chosen.multilabel, chosen.retrieval)
    reranking = evaluate_reranking(embedded, chosen.reranking, chosen.retrieval) if chosen.reranking.ks else None
    manipulation = None if head is None else evaluate_manipulation(embedded, head, chosen.manipulation)
    data = {"manifest": "items.parquet", "split": "test", "items": len(embedded)}
    model = {"checkpoint": str(folder), "digest": str(folder)}
    report = Report(name, model, data, chosen, False, retrieval, multilabel, manipulation, None, reranking)
    report.save(folder)
    save_queries(query_table(embedded, retrieval, multilabel, manipulation, reranking), folder)
    return folder


def make_runs(folder: Path, **names: str) -> list[Run]:
    """A run per keyword, of the system named, the first the best."""
    return [
        load_run(write_run(folder / key, system(seed, wrong=0.1 + 0.2 * seed), name))
        for seed, (key, name) in enumerate(names.items())
    ]
