"""The whole comparison, of generations that were really ingested."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from model.checkpoint import load_checkpoint
from model.taxonomy import Attribute, Taxonomy
from pipelines.data.item_store import ItemStore
from pipelines.data.manifest import Manifest
from pipelines.evaluate.__main__ import main
from pipelines.evaluate.embedded import embed
from pipelines.evaluate.generations import command
from pipelines.evaluate.generations.stored import read_embedded
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


def figure(checkpoint: Path, manifest: str, cache: Path) -> float:
    """MAP@all of an encoder, embedding the pictures anew."""
    model = load_checkpoint(checkpoint)
    store = ItemStore.open(Manifest.labelled([manifest], model.taxonomy), model.taxonomy, split=None, cache=cache)
    return evaluate_retrieval(embed(model, model.preparation, store)).overall.map


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
    assert "compared: 37 of the 37 items that all hold with the same picture" in page and "36 are labelled" in page
    assert "Contact sheet: Muster/größe" in page and "data:image/jpeg" in page
    assert "What stays the same" in out and "Which classes get worse" in out and "duet snapshots publish" in out
    with (tmp_path / "compare.csv").open(encoding="utf-8") as file:
        every = list(csv.DictReader(file))
    assert {row["column"] for row in every if row["measure"] == "overlap@10"} == set(TAXONOMY.names)
    rows = [row for row in every if row["measure"] == "MAP@all" and row["column"] == "overall"]
    found = {row["system"]: float(row["value"]) for row in rows if row["kind"] == "system"}
    assert list(found) == [f"m3net {first[:6]} (served)", f"m3net {second[:6]}"]
    for name, value in zip(("first", "second"), found.values(), strict=True):
        # What is stored is rounded to float16: two neighbours may change places.
        own = figure(folder / name, str(folder / "items.parquet"), tmp_path / "cache")
        assert value == pytest.approx(own, abs=5e-3)


def test_the_others_may_be_named_and_few_items_be_compared(folder: Path, tmp_path: Path) -> None:
    index = str(folder / "index")
    first, second = (one.name for one in Index.open(index).generations())
    main(["generations", second, first, "--index", index, "--out", str(tmp_path), "--items", "9", "--sheets", "0"])
    text = (tmp_path / "compare.md").read_text(encoding="utf-8")
    assert text.index(f"generation {second}") < text.index(f"generation {first}")
    assert "compared: 9 of the 37 items" in text and "9 are labelled" in text and "overlap@8" in text
    assert "Contact sheet" not in (tmp_path / "compare.html").read_text(encoding="utf-8")


def test_without_labels_the_overlap_is_left(folder: Path, tmp_path: Path) -> None:
    first, second = folder / "first", folder / "second"
    manifest = write_manifest(tmp_path / "items.parquet", {f"i{n}": Entry(n) for n in range(8)})
    ingest(tmp_path, manifest, first)
    ingest(tmp_path, manifest, second, generation="new")
    assert main(["generations", "--index", str(tmp_path / "index"), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "compare.md").read_text(encoding="utf-8")
    assert "nothing tells which generation is better" in text and "overlap@7" in text and "MAP@all" not in text
    assert "pictures: compare.html" not in text


def test_an_encoder_with_another_class_is_ranked_by_all_of_its_own(folder: Path, tmp_path: Path) -> None:
    """The figure of each is what it would be alone, for queries about the classes that both know."""
    collar, pattern = TAXONOMY.attributes
    other = Taxonomy((collar, Attribute(pattern.name, ("dots", "tribal", "stripes"), True)))
    items = {key: Entry(entry.look, ("dots", "tribal")[: 1 + entry.look % 2]) for key, entry in catalogue(30).items()}
    manifest = write_manifest(tmp_path / "items.parquet", items)
    second = write_checkpoint(tmp_path / "second", seed=3, taxonomy=other)
    ingest(tmp_path, manifest, folder / "first")
    ingest(tmp_path, manifest, second, generation="new")
    main(["generations", "--index", str(tmp_path / "index"), "--out", str(tmp_path / "out")])
    text = (tmp_path / "out" / "compare.md").read_text(encoding="utf-8")
    assert f"not in common, so not compared: {pattern.name}: it's, {pattern.name}: stripes" in text
    with (tmp_path / "out" / "compare.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == "MAP@all" and row["column"] == "overall"]
    found = [float(row["value"]) for row in rows if row["kind"] == "system"]
    for checkpoint, value in zip((folder / "first", second), found, strict=True):
        assert value == pytest.approx(figure(checkpoint, manifest, tmp_path / "cache"), abs=5e-3)


def test_what_is_cleaned_up_meanwhile_is_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(times: int) -> None:
        left = [times]

        def read(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] >= 0:
                raise OSError("Not found: gone")
            return read_embedded(*arguments)

        monkeypatch.setattr(command, "read_embedded", read)

    where = ["generations", "--index", str(folder / "index"), "--out", str(tmp_path)]
    fails(2)
    assert main(where) == 0
    fails(3)
    with pytest.raises(SystemExit, match="2"):
        main(where)


def test_what_cannot_be_compared_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ingest(tmp_path, write_manifest(tmp_path / "items.parquet", catalogue(2)), folder / "first")
    where = ["--index", str(tmp_path / "index"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="2"):
        main(["generations", *where])
    assert "has 1 generation to compare; `duet ingest --generation new" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["generations", "x", *where])
    assert "one generation is nothing to compare" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["generations", "x", "y", *where])
    assert "has no generation 'x'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["generations", "--index", str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert "there is no index at" in capsys.readouterr().err
