"""Every data set: what is written is what its tree says, trap by trap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.data.__main__ import main
from pipelines.data.describe import describe
from pipelines.data.manifest import Manifest
from pipelines.data.public.registry import DATA_SETS
from pipelines.data.taxonomy import build_taxonomy

from .trees import TREES, Expected, set_name


def test_each_data_set_has_a_tree() -> None:
    assert {set_name(tree) for tree in TREES} == set(DATA_SETS)
    assert all(name == data_set.name for name, data_set in DATA_SETS.items())


@pytest.fixture(params=sorted(TREES))
def imported(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Expected, Path, Path]:
    """What is expected, the tree and the folder of its import."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    expected = TREES[request.param](tree)
    assert main(["import", set_name(request.param), str(tree), "--out", str(out), *expected.options]) == 0
    return expected, tree, out


def rows(manifest: Manifest) -> list[dict[str, Any]]:
    return [row for batch in manifest.batches() for row in batch.to_pylist()]


def test_manifest_says_what_the_tree_says(imported: tuple[Expected, Path, Path]) -> None:
    expected, tree, out = imported
    manifest = Manifest.open([str(out / "manifest.parquet")], roots=[str(tree / expected.root)])
    assert manifest.attributes == tuple(expected.attributes) and manifest.metadata == ()
    found = {
        row["item_id"]: (
            row["image_uri"],
            row["split"],
            {name: set(row[name]) for name in manifest.attributes if row[name]},
        )
        for row in rows(manifest)
    }
    assert found == expected.rows and manifest.count() == len(expected.rows)


def test_taxonomy_has_the_classes_that_occur(imported: tuple[Expected, Path, Path]) -> None:
    expected, tree, out = imported
    taxonomy = build_taxonomy(Manifest.open([str(out / "manifest.parquet")], roots=[str(tree)]))
    carried = [labels for _, _, labels in expected.rows.values()]
    for attribute in taxonomy.attributes:
        sets = [labels[attribute.name] for labels in carried if attribute.name in labels]
        assert attribute.classes == tuple(sorted(set().union(*sets)))
        assert attribute.multi_label == any(len(classes) > 1 for classes in sets)
    assert set(taxonomy.names) == {name for labels in carried for name in labels}


def test_every_picture_is_found_below_the_root(imported: tuple[Expected, Path, Path]) -> None:
    expected, tree, out = imported
    manifest = Manifest.open([str(out / "manifest.parquet")], roots=[str(tree / expected.root)])
    description = describe(manifest, sample=None)
    assert description.pictures_checked == len(expected.rows)
    assert not {"UNREADABLE_PICTURE", "DUPLICATE_ID"} & {problem.kind for problem in description.problems}


def test_roles_and_triplets_are_the_sets_own(imported: tuple[Expected, Path, Path]) -> None:
    expected, _, out = imported
    if expected.roles is not None:
        found = pq.read_table(out / "roles.parquet").to_pylist()
        assert {(row["item_id"], row["attribute"], row["role"], row["class"]) for row in found} == expected.roles
        assert len(found) == len(expected.roles)
    if expected.triplets is not None:
        table = pq.read_table(out / "triplets.parquet")
        assert table.schema.names == ["split", "attribute", "anchor", "positive", "negative"]
        assert [tuple(row.values()) for row in table.to_pylist()] == expected.triplets
    files = {path.name for path in out.iterdir()}
    assert ("roles.parquet" in files) == (expected.roles is not None)
    assert ("triplets.parquet" in files) == (expected.triplets is not None)


def test_report_counts_what_was_written_and_left_out(imported: tuple[Expected, Path, Path]) -> None:
    expected, tree, out = imported
    report = json.loads((out / "report.json").read_text())
    assert report["root"] == str(tree / expected.root) and report["rows"] == len(expected.rows)
    assert {reason: entry["count"] for reason, entry in report["skipped"].items()} == expected.skipped
    assert {reason: entry["count"] for reason, entry in report["noticed"].items()} == expected.noticed
    for entry in (*report["skipped"].values(), *report["noticed"].values()):
        assert entry["examples"] and all(str(tree) in place for place in entry["examples"])
        assert all(", line " in place or ", annotation " in place for place in entry["examples"])
    splits = [split or "" for _, split, _ in expected.rows.values()]
    assert report["splits"] == {split: splits.count(split) for split in set(splits)}
    for name in expected.attributes:
        labelled = [split or "" for _, split, labels in expected.rows.values() if name in labels]
        assert report["attributes"][name]["labelled"] == {split: labelled.count(split) for split in set(labelled)}
    assert report["files"] and all(Path(path).is_file() for path in report["files"])
    assert sum(sum(part.values()) for part in report["roles"].values()) == len(expected.roles or ())
    assert sum(sum(part.values()) for part in report["triplets"].values()) == len(expected.triplets or ())
