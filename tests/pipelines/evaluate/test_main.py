"""The command, from a checkpoint and a manifest to its files."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.encoder import EncoderConfig
from model.preparation import ImagePreparation
from model.systems.m3net import M3Net
from model.taxonomy import Taxonomy
from pipelines.data.item_store import ItemStore
from pipelines.data.manifest import Manifest
from pipelines.data.taxonomy import build_taxonomy
from pipelines.evaluate.__main__ import evaluate, main
from pipelines.evaluate.embedded import Embedded, embed
from pipelines.evaluate.manipulation import evaluate_manipulation
from pipelines.evaluate.neighbours import read_neighbours
from pipelines.evaluate.query_table import of_task, read_queries
from pipelines.evaluate.reranking import evaluate_reranking
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.roles import leave_one_out
from pipelines.evaluate.scores import CURVE
from pipelines.evaluate.settings import EvaluateSettings
from pipelines.evaluate.triplets import draw_triplets, evaluate_triplets

from . import slow_metrics as slow
from .random_sets import slow_retrieval


def arguments(checkpoint: Path, manifest: Path, out: Path, *more: str) -> list[str]:
    paths = ["--checkpoint", str(checkpoint), "--manifest", str(manifest), "--out", str(out)]
    return [*paths, "--cache", str(out.parent / "cache"), *more]


def test_writes_figures_tables_and_sheets(
    checkpoint_folder: Path,
    catalogue: Path,
    checkpoint: Checkpoint,
    store: ItemStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert main(arguments(checkpoint_folder, catalogue, out)) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["data"]["items"] == len(store) and report["model"]["digest"] == checkpoint.digest
    embedded = embed(checkpoint, checkpoint.preparation, store)
    result = evaluate_retrieval(embedded)
    assert report["retrieval"]["overall"]["values"] == pytest.approx(dict(result.overall.values))
    assert report["retrieval"]["overall"]["random"] == pytest.approx(dict(result.overall.chance))
    assert set(report["retrieval"]["attributes"]) == {"colour", "shape", "marks"}
    assert {entry["classes"] for entry in report["multilabel"]} == {2, 3}
    assert checkpoint.head is not None
    manipulated = evaluate_manipulation(embedded, checkpoint.head)
    assert manipulated.single_mean is not None
    assert report["manipulation"]["replaced_mean"]["values"] == pytest.approx(dict(manipulated.single_mean.values))
    for key, parts in (("replaced", manipulated.several_single), ("added_or_removed", manipulated.several_multi)):
        (entry,) = report["manipulation"][f"several_{key}"]
        assert entry["attributes"] == 2 and entry["available"] == parts[2].available == entry["queries"]
        assert entry["values"] == pytest.approx(dict(parts[2].summary.values))
        assert entry["random"] == pytest.approx(dict(parts[2].summary.chance))
    queries = of_task(read_queries(out), "retrieval")
    assert queries["MAP@all"].to_numpy().mean() == pytest.approx(result.overall.map)
    assert len(queries) == result.overall.queries
    reranked = evaluate_reranking(embedded).overall
    assert report["reranking"]["overall"]["values"] == pytest.approx(dict(reranked.values))
    accuracy = evaluate_triplets(embedded, draw_triplets(embedded, 5_000))
    assert report["triplets"]["overall"] == {"triplets": 15_000, "accuracy": pytest.approx(accuracy.overall)}
    assert report["system"] == "m3net" and len(report["retrieval"]["curves"]["overall"]["MAP"]) == len(CURVE)
    assert json.loads((out / "settings.json").read_text()) == report["settings"]
    printed, text = capsys.readouterr().out, (out / "report.md").read_text()
    assert printed.count("| random") == text.count("| random") > 4
    for title in ("Manipulation of several attributes, classes replaced", "classes added or removed among them"):
        (table,) = (part for part in text.split("\n## ") if title in part.splitlines()[0])
        grid = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"]
        assert grid[0] == ["%", "", "2 attributes"] and grid[2][1] == "random" and grid[3][1] == "m3net"
    assert str(out / "report.json") in printed and str(out / "manipulation.png") in printed
    for name in ("retrieval.png", "manipulation.png"):
        with Image.open(out / name) as sheet:
            assert sheet.width > 600
    assert len(read_neighbours(out)) == len(queries)
    assert not list(out.glob(".*"))


def test_a_manifest_without_splits_is_evaluated_whole(
    checkpoint_folder: Path, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pq.read_table(catalogue).drop(["split"]), whole)
    assert main(arguments(checkpoint_folder, whole, tmp_path / "out", "--sheet.rows", "0")) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["data"]["items"] == 48
    assert "no column 'split'" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.png"))


def test_only_the_sheets_of_this_run_are_named_and_older_ones_go(
    checkpoint_folder: Path, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("retrieval.png", "manipulation.png", "holiday.png"):
        (out / name).write_bytes(b"of another day")
    assert main(arguments(checkpoint_folder, catalogue, out, "--sheet.rows", "0")) == 0
    assert "png" not in capsys.readouterr().out
    assert [path.name for path in out.glob("*.png")] == ["holiday.png"]


def test_the_report_counts_the_items_without_a_label_that_the_encoder_knows(
    catalogue: Path, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    colour = next(one for one in checkpoint.taxonomy.attributes if one.name == "colour")
    fewer = replace(colour, classes=tuple(name for name in colour.classes if name != "blue"))
    taxonomy = Taxonomy(tuple(fewer if one == colour else one for one in checkpoint.taxonomy.attributes))
    encoder = M3Net(EncoderConfig(backbone="resnet18", hidden=32), taxonomy).eval()
    save_checkpoint(tmp_path / "model", encoder, ImagePreparation(48, 40))
    report, sheets = evaluate(settings(tmp_path / "model", catalogue, tmp_path / "out"))
    rows = [row for row in pq.read_table(catalogue).to_pylist() if row["split"] == "test"]
    outside = {
        "colour": sum(row["colour"] in ([], ["blue"]) for row in rows),
        "shape": 0,
        "marks": sum(not row["marks"] for row in rows),
    }
    assert report.to_json()["data"]["unlabelled"] == outside and min(outside["colour"], outside["marks"]) > 0
    assert f"- unlabelled: colour {outside['colour']}, shape 0, marks {outside['marks']}\n" in report.to_markdown()
    assert report.retrieval.summaries["colour"].queries == len(rows) - outside["colour"]
    assert sheets == []


def test_plain_text_columns_are_labels_where_the_taxonomy_names_them(
    checkpoint_folder: Path, catalogue: Path, tmp_path: Path
) -> None:
    path = tmp_path / "items.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["item_id", "image_uri", "colour", "marks", "split"])
        for row in pq.read_table(catalogue).to_pylist():
            (tmp_path / f"{row['item_id']}.png").write_bytes(row["image"])
            writer.writerow(
                [row["item_id"], f"{row['item_id']}.png", "|".join(row["colour"]), "|".join(row["marks"]), row["split"]]
            )
    by_csv, _ = evaluate(settings(checkpoint_folder, path, tmp_path / "a", roots=[str(tmp_path)]))
    by_parquet, _ = evaluate(settings(checkpoint_folder, catalogue, tmp_path / "b"))
    for name in ("colour", "marks"):
        assert by_csv.retrieval.summaries[name] == by_parquet.retrieval.summaries[name]
    assert by_csv.retrieval.summaries["shape"].queries == 0
    assert by_csv.to_json()["retrieval"]["attributes"]["shape"]["values"]["MAP@all"] is None
    assert "–" in by_csv.to_markdown()


def test_the_sets_own_roles_and_triplets(
    checkpoint_folder: Path, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in pq.read_table(catalogue).to_pylist() if row["shape"]]
    here, there = ([row["item_id"] for row in rows if row["split"] == split] for split in ("test", "train"))
    listed = [(one, "query" if n < 5 else "gallery") for n, one in enumerate(here)] + [(there[0], "query")]
    names = {"item_id": [one for one, _ in listed], "attribute": ["shape"] * len(listed)}
    pq.write_table(pa.table({**names, "role": [role for _, role in listed]}), tmp_path / "roles.parquet")
    columns = {"attribute": ["shape"] * 4, "anchor": [*here[:3], there[0]], "positive": here[1:5]}
    triplets = pa.table({**columns, "negative": here[2:6], "split": ["test", "test", "val", "test"]})
    pq.write_table(triplets, tmp_path / "triplets.parquet")
    more = ["--roles", str(tmp_path / "roles.parquet"), "--triplets.file", str(tmp_path / "triplets.parquet")]
    out = tmp_path / "out"
    assert main(arguments(checkpoint_folder, catalogue, out, "--sheet.rows", "0", "--reranking.ks", "[]", *more)) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["retrieval"]["attributes"]["shape"]["queries"] == report["retrieval"]["overall"]["queries"] == 5
    assert set(of_task(read_queries(out), "retrieval")["gallery"].to_pylist()) == {len(here) - 5}
    assert report["triplets"]["attributes"]["shape"]["triplets"] == 2 and report["triplets"]["unknown_items"] == 1
    assert report["reranking"] is None
    said = capsys.readouterr()
    assert "1 rows are of other items" in said.err and "1 triplets are left out" in said.err
    assert "the data set's own roles" in said.out
    asking = {**names, "role": [role for _, role in listed], "class": [rows[0]["shape"][0]] * len(listed)}
    pq.write_table(pa.table(asking), tmp_path / "roles.parquet")
    with pytest.raises(SystemExit):
        main(arguments(checkpoint_folder, catalogue, out, "--retrieval.relevance", "any", *more))
    assert "--retrieval.relevance any does not look at" in capsys.readouterr().err


def settings(checkpoint: Path, manifest: Path, out: Path, **more: object) -> EvaluateSettings:
    out.mkdir()
    return EvaluateSettings(
        checkpoint=checkpoint, manifest=[str(manifest)], out=out, cache=out / "cache", sheet={"rows": 0}, **more
    )  # type: ignore[arg-type]


def test_without_head_or_class_level(catalogue: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    encoder = M3Net(EncoderConfig("m3net_a", "resnet18", hidden=32), checkpoint.taxonomy).eval()
    save_checkpoint(tmp_path / "model", encoder, ImagePreparation(48, 40))
    report, _ = evaluate(settings(tmp_path / "model", catalogue, tmp_path / "out"))
    assert report.manipulation is None and report.to_json()["manipulation"] is None
    assert "attribute similarity decides within every tier" in report.to_markdown() and report.system == "m3net_a"


def test_the_study_of_the_threshold_equals_evaluations_at_each(
    checkpoint_folder: Path, catalogue: Path, checkpoint: Checkpoint, store: ItemStore, tmp_path: Path
) -> None:
    likely = embed(checkpoint, checkpoint.preparation, store).probabilities[:, checkpoint.taxonomy.span(2)]
    grid = [round(float(np.quantile(likely, share)), 4) for share in (0.1, 0.5, 0.9)]
    out = tmp_path / "out"
    listed = ["--sensitivity.thresholds", ",".join(map(str, grid)), "--sheet.rows", "0"]
    assert main(arguments(checkpoint_folder, catalogue, out, *listed)) == 0
    study = json.loads((out / "report.json").read_text())["sensitivity"]
    own = checkpoint.encoder.threshold
    assert study["threshold"] == own and study["thresholds"] == sorted([*grid, own])
    for t, threshold in enumerate(study["thresholds"]):
        alone, _ = evaluate(settings(checkpoint_folder, catalogue, tmp_path / str(t), threshold=threshold))
        assert alone.to_json()["sensitivity"] is None
        assert study["MAP@all"]["marks"][t] == pytest.approx(alone.retrieval.summaries["marks"].map)
        assert study["MAP@all"]["overall"][t] == pytest.approx(alone.retrieval.overall.map)
    assert len(set(study["MAP@all"]["marks"])) > 2
    assert f" γ = {own:g} |" in (out / "report.md").read_text()


def test_given_classes_are_flagged(checkpoint_folder: Path, catalogue: Path, tmp_path: Path) -> None:
    report, _ = evaluate(settings(checkpoint_folder, catalogue, tmp_path / "out", retrieval={"classes": "given"}))
    assert "GIVEN" in report.to_markdown()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--checkpoint", "nowhere"), "nowhere"),
        (("--split", "holdout"), "no item to evaluate in split 'holdout'"),
        (("--device", "abacus"), "not a device"),
        (("--sensitivity.thresholds", "0.5,1"), "--sensitivity.thresholds.1: Input should be less than 1"),
        (("--retrieval.denominator", "most"), "--retrieval.denominator"),
        (("--triplets.seed", "-1"), "--triplets.seed: Input should be greater than or equal to 0"),
        (("--retrieval.ks", "[]"), "--retrieval.ks: Tuple should have at least 1 item"),
        (("--manipulation.ks", "[]"), "--manipulation.ks: Tuple should have at least 1 item"),
        (("--manipulation.sizes", "[0]"), "--manipulation.sizes"),
        (("--manifest", "nowhere.parquet"), "nowhere.parquet"),
        (("--roles", "nowhere.parquet"), "nowhere.parquet: not there"),
        (("--triplets.file", "nowhere.parquet"), "nowhere.parquet: not there"),
    ],
)
def test_faults_of_the_user_are_one_line(
    change: tuple[str, str],
    message: str,
    checkpoint_folder: Path,
    catalogue: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = arguments(checkpoint_folder, catalogue, tmp_path / "out")
    if change[0] in given:
        given[given.index(change[0]) + 1] = change[1]
    else:
        given += change
    with pytest.raises(SystemExit) as stop:
        main(given)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and len(error.splitlines()) == 1


def test_a_manifest_of_other_attributes_is_refused(
    checkpoint_folder: Path, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(catalogue).rename_columns(["item_id", "image", "a", "b", "c", "split"]), other)
    with pytest.raises(SystemExit):
        main(arguments(checkpoint_folder, other, tmp_path / "out"))
    assert "none of the taxonomy's attributes (colour, shape, marks)" in capsys.readouterr().err


def exact(embedded: Embedded, items: int) -> Embedded:
    """The first items, with vectors rounded to multiples of 2⁻¹⁰, so that float32 sums do not depend on their order."""
    keep = embedded.pair_item < items
    assert embedded.class_embeddings is not None
    return Embedded(
        embedded.item_ids[:items],
        np.round(embedded.attribute_embeddings[:items] * 1024) / np.float32(1024),
        embedded.probabilities[:items],
        embedded.predicted[:items],
        embedded.pair_item[keep],
        embedded.pair_class[keep],
        np.round(embedded.class_embeddings[keep] * 1024) / np.float32(1024),
        embedded.carried[:items],
        embedded.known[:items],
        embedded.taxonomy,
    )


def test_real_pictures(test_data: Path, tmp_path: Path) -> None:
    manifest = Manifest.open([str(test_data / "products" / "tiny.parquet")])
    torch.manual_seed(0)
    encoder = M3Net(EncoderConfig(backbone="resnet18"), build_taxonomy(manifest))
    save_checkpoint(tmp_path / "model", encoder.eval(), ImagePreparation(80, 64))
    loaded = load_checkpoint(tmp_path / "model")
    store = ItemStore.open(manifest, loaded.taxonomy, split="test", cache=tmp_path)
    embedded = embed(loaded, loaded.preparation, store)
    result = evaluate_retrieval(embedded)
    # Untrained features see shape and brightness, no more: above chance, far below what training gives.
    assert result.overall.chance["MAP@all"] < result.overall.map < 0.7
    few = exact(embedded, 60)
    expected = slow_retrieval(few, leave_one_out(few), "class", "predicted")
    for name, scores in evaluate_retrieval(few).attributes.items():
        assert scores.values["MAP@all"] == pytest.approx([slow.average_precision(hits) for *_, hits in expected[name]])
        assert scores.values["Recall@10"] == pytest.approx([slow.recall(hits, 10) for *_, hits in expected[name]])
