"""What chance scores, from labels alone: the random rows of an evaluation, and exact means over all rankings."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.checkpoint import Checkpoint
from pipelines.data.item_store import ItemStore
from pipelines.data.manifest import Manifest
from pipelines.data.taxonomy import build_taxonomy
from pipelines.errors import ManifestError
from pipelines.evaluate.__main__ import main
from pipelines.evaluate.embedded import embed
from pipelines.evaluate.expected import expect, read_labels
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.evaluate.roles import choose_roles
from pipelines.evaluate.settings import RetrievalSettings

from . import slow_metrics as slow


@pytest.mark.parametrize(
    "settings",
    [
        RetrievalSettings(),
        RetrievalSettings(relevance="any", roles="split", ks=(3,)),
        RetrievalSettings(relevance="exact", denominator="hits", zero="skip", ks=(3,)),
    ],
)
def test_the_random_rows_are_those_of_an_evaluation(
    settings: RetrievalSettings, catalogue: Path, checkpoint: Checkpoint, store: ItemStore
) -> None:
    embedded = embed(checkpoint, checkpoint.preparation, store)
    roles, _ = choose_roles(None, settings, embedded)
    whole = evaluate_retrieval(embedded, settings, roles)
    items = read_labels(Manifest.open([str(catalogue)]), checkpoint.taxonomy, "test")
    assert np.array_equal(items.known, store.known) and items.item_ids == store.item_ids
    alone = expect(items, settings, choose_roles(None, settings, items)[0])
    assert len(alone.overall.chance) >= 3
    for name, summary in whole.summaries.items():
        assert summary.chance == alone.summaries[name].chance and summary.queries >= 4
        assert summary.ceiling == alone.summaries[name].ceiling
        assert summary.without_relevant == alone.summaries[name].without_relevant


def manifest(path: Path, classes: str) -> Path:
    rows = {"item_id": [f"i{n}" for n in range(len(classes))], "split": ["test"] * len(classes)}
    labels = pa.array([[one] if one != "-" else [] for one in classes], pa.list_(pa.string()))
    pq.write_table(pa.table({**rows, "colour": labels}), path)
    return path


def test_it_is_the_mean_over_all_rankings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without pictures: the manifest has none."""
    classes = "aaabbc"
    path = manifest(tmp_path / "m.parquet", classes + "-")
    assert main(["chance", "--manifest", str(path), "--retrieval.ks", "2"]) == 0
    shown = capsys.readouterr().out
    means, ceilings = [], []
    for q, own in enumerate(classes):
        others = [one == own for o, one in enumerate(classes) if o != q]
        means.append(np.mean([slow.average_precision(list(hits), None, "all") for hits in permutations(others)]))
        ceilings.append(min(sum(others), 2) / sum(others) if any(others) else 0)
    table = {tuple(cell.strip() for cell in line.split("|")[1:3]): line for line in shown.splitlines() if "|" in line}
    overall = {key: line.split("|")[-3].strip() for key, line in table.items()}
    assert overall["MAP@all", "random"] == f"{100 * np.mean(means):.2f}"
    assert overall["Recall@2", "ceiling"] == f"{100 * np.mean(ceilings):.2f}"
    assert (overall["queries", ""], overall["nothing relevant", ""]) == ("6", "1")


def test_columns_of_a_csv_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.csv"
    path.write_text("item_id,colour\na,red\nb,red\nc,blue\n", encoding="utf-8")
    assert main(["chance", "--manifest", str(path), "--attributes", "colour"]) == 0
    assert "| colour | overall |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["chance", "--manifest", str(path), "--attributes", "colour", "--retrieval.classes", "given"])
    assert "changes nothing in a random ranking" in capsys.readouterr().err


def test_faults_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = manifest(tmp_path / "m.parquet", "aab")
    with pytest.raises(SystemExit):
        main(["chance", "--manifest", str(path), "--retrieval.labels", "listed"])
    assert "needs --roles" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["chance", "--manifest", str(path), "--split", "val"])
    assert "no item in split 'val'" in capsys.readouterr().err
    pq.write_table(pa.concat_tables([pq.read_table(path)] * 2), path)
    opened = Manifest.open([str(path)], require_image=False)
    with pytest.raises(ManifestError, match="'i0' stands twice"):
        read_labels(opened, build_taxonomy(opened), "test")
