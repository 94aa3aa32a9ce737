"""The whole comparison, of generations that were really ingested."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from model.checkpoint import load_checkpoint
from pipelines.data.item_store import ItemStore
from pipelines.data.manifest import Manifest
from pipelines.evaluate.__main__ import main
from pipelines.evaluate.embedded import embed
from pipelines.evaluate.retrieval import evaluate_retrieval
from pipelines.index.store import Index
from pipelines.ingest.driver import run_ingest
from pipelines.ingest.settings import IngestSettings
from tests.pipelines.ingest.support import TAXONOMY, Entry, catalogue, write_checkpoint, write_manifest


def ingest(folder: Path, manifest: str, checkpoint: Path, **more: object) -> None:
    values = {"threads": 1, "batch": 32, "attributes": [TAXONOMY.names[1]], **more}
    run_ingest(
        IngestSettings(manifest=[manifest], index=str(folder / "index"), checkpoint=str(checkpoint), **values)  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two generations, of which the second has other items as well."""
    folder = tmp_path_factory.mktemp("generations")
    items = {key: Entry(entry.look, ("dots", "tribal")[: 1 + entry.look % 2]) for key, entry in catalogue(36).items()}
    items |= {"unlabelled": Entry(50)}
    first = write_checkpoint(folder / "first")
    ingest(folder, write_manifest(folder / "items.parquet", items), first)
    second = write_checkpoint(folder / "second", seed=1)
    ingest(folder, write_manifest(folder / "items.parquet", items), second, generation="new")
    return folder


def test_the_figures_are_those_of_the_encoders(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = str(folder / "index")
    assert main(["generations", "--index", index, "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    first, second = (one.name for one in Index.open(index).generations())
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert f"m3net {first[:6]} (served): generation {first}, {folder / 'first'}" in page
    assert "37 in common are compared, 36 labelled" in page
    assert "Contact sheet: Muster/größe" in page and "data:image/jpeg" in page
    assert "What stays the same" in out and "Which classes get worse" in out and "duet snapshots publish" in out
    with (tmp_path / "compare.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == "MAP@all" and row["column"] == "overall"]
    found = {row["system"]: float(row["value"]) for row in rows if row["kind"] == "system"}
    assert list(found) == [f"m3net {first[:6]} (served)", f"m3net {second[:6]}"]
    for name, value in zip(("first", "second"), found.values(), strict=True):
        model = load_checkpoint(folder / name)
        manifest = Manifest.labelled([str(folder / "items.parquet")], model.taxonomy)
        store = ItemStore.open(manifest, model.taxonomy, split=None, cache=tmp_path / "cache")
        embedded = embed(model, model.preparation, store)
        # What is stored is rounded to float16: two neighbours may change places.
        assert value == pytest.approx(evaluate_retrieval(embedded).overall.map, abs=5e-3)


def test_the_others_may_be_named_and_few_items_be_compared(folder: Path, tmp_path: Path) -> None:
    index = str(folder / "index")
    first, second = (one.name for one in Index.open(index).generations())
    main(["generations", second, first, "--index", index, "--out", str(tmp_path), "--items", "9", "--sheets", "0"])
    text = (tmp_path / "compare.md").read_text(encoding="utf-8")
    assert text.index(f"generation {second}") < text.index(f"generation {first}")
    assert "9 in common are compared, 9 labelled" in text and "overlap@8" in text
    assert "Contact sheet" not in (tmp_path / "compare.html").read_text(encoding="utf-8")


def test_without_labels_the_overlap_is_left(folder: Path, tmp_path: Path) -> None:
    first, second = folder / "first", folder / "second"
    manifest = write_manifest(tmp_path / "items.parquet", {f"i{n}": Entry(n) for n in range(8)})
    ingest(tmp_path, manifest, first)
    ingest(tmp_path, manifest, second, generation="new")
    assert main(["generations", "--index", str(tmp_path / "index"), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "compare.md").read_text(encoding="utf-8")
    assert "nothing tells which generation is better" in text and "overlap@7" in text and "MAP" not in text


def test_what_cannot_be_compared_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ingest(tmp_path, write_manifest(tmp_path / "items.parquet", catalogue(2)), folder / "first")
    where = ["--index", str(tmp_path / "index"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="2"):
        main(["generations", *where])
    assert "has 1 generation to compare; `duet ingest --generation new" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["generations", "x", "y", *where])
    assert "has no generation 'x'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["generations", "--index", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert "there is no index at" in capsys.readouterr().err
