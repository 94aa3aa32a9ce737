"""Folders of evaluations of random sets, as `duet evaluate` writes them."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from model.manipulation import ManipulationHead
from pipelines.evaluate.compare.runs import Run, load_run
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.manipulation import evaluate_manipulation
from pipelines.evaluate.multilabel import evaluate_multilabel
from pipelines.evaluate.neighbours import neighbour_table, save_neighbours
from pipelines.evaluate.query_table import query_table, save_queries
from pipelines.evaluate.report import Report
from pipelines.evaluate.reranking import evaluate_reranking
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.roles import leave_one_out
from pipelines.evaluate.sensitivity import evaluate_sensitivity
from pipelines.evaluate.settings import EvaluateSettings
from pipelines.evaluate.triplets import draw_triplets, evaluate_triplets

from ..random_sets import random_embedded

OWN_THRESHOLD = 0.5  # of all systems


def system(seed: int, *, wrong: float = 0.3, items: int = 40, labels: int = 0) -> Embedded:
    """The same items and labels, whatever the seed, seen by a system that mistakes a share of the classes."""
    base = random_embedded(labels, items, classes=False)
    rng = np.random.default_rng(seed)
    predicted = np.where(rng.random(base.carried.shape) < wrong, base.predicted, base.carried)
    vectors = rng.standard_normal(base.attribute_embeddings.shape).astype(np.float32)
    return dataclasses.replace(base, predicted=predicted, attribute_embeddings=vectors)


def write_run(
    folder: Path,
    embedded: Embedded,
    name: str = "m3net",
    head: ManipulationHead | None = None,
    backbone: str = "resnet18",
    **settings: object,
) -> Path:
    """Evaluate a set into a folder; returns the folder, whose name is the checkpoint's digest."""
    folder.mkdir(parents=True)
    chosen = EvaluateSettings(checkpoint=folder, out=folder, **{"manifest": ["items.parquet"], **settings})  # type: ignore[arg-type]
    retrieval = evaluate_retrieval(embedded, chosen.retrieval)
    multilabel = evaluate_multilabel(embedded, chosen.multilabel, chosen.retrieval)
    reranking = evaluate_reranking(embedded, chosen.reranking, chosen.retrieval) if chosen.reranking.ks else None
    manipulation = None if head is None else evaluate_manipulation(embedded, head, chosen.manipulation)
    thresholds = chosen.sensitivity.thresholds
    roles = leave_one_out(embedded)
    study = evaluate_sensitivity(embedded, retrieval, roles, OWN_THRESHOLD, thresholds) if thresholds else None
    data = {"manifest": "items.parquet", "split": "test", "items": len(embedded), "galleries": roles.digest(embedded)}
    model = {"checkpoint": str(folder), "digest": str(folder), "encoder": {"backbone": backbone}}
    about = (name, model, data, embedded.taxonomy, chosen, False)
    triplets = evaluate_triplets(embedded, draw_triplets(embedded, 20))
    report = Report(*about, retrieval, multilabel, manipulation, triplets, reranking, study)
    save_queries(query_table(embedded, retrieval, multilabel, manipulation, reranking, triplets), folder)
    save_neighbours(neighbour_table(embedded, retrieval), folder)
    report.save(folder)
    return folder


def write_manifest(path: Path, embedded: Embedded) -> Path:
    """A manifest of the items, each picture of one colour; returns its path."""
    taxonomy = embedded.taxonomy
    rows = []
    for item, item_id in enumerate(embedded.item_ids):
        carried = [taxonomy.class_name(int(m)) for m in np.flatnonzero(embedded.carried[item])]
        labels = {name: [value for attribute, value in carried if attribute == name] for name in taxonomy.names}
        stream = io.BytesIO()
        Image.new("RGB", (12, 16), colour_of(item)).save(stream, "PNG")
        rows.append({"item_id": item_id, "image": stream.getvalue(), "split": "test", **labels})
    fields = [("item_id", pa.string()), ("image", pa.binary()), ("split", pa.string())]
    schema = pa.schema([*fields, *((name, pa.list_(pa.string())) for name in taxonomy.names)])
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def colour_of(item: int) -> tuple[int, int, int]:
    """Of an item's picture; no two are alike."""
    return (3 * item % 256, 40 + item // 80, 250)


def make_runs(folder: Path, **names: str) -> list[Run]:
    """A run per keyword, of the system named, the first the best."""
    return [
        load_run(write_run(folder / key, system(seed, wrong=0.1 + 0.2 * seed), name))
        for seed, (key, name) in enumerate(names.items())
    ]
