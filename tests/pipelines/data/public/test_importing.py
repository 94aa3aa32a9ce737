"""An import's options, and what it does when there is nothing to import."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.data.manifest import Manifest, row_image
from pipelines.data.public import table
from pipelines.errors import ManifestError

from .importer import run
from .trees import asen_darn, deepfashion, draw, write, zappos50k


def test_pictures_are_copied_only_when_asked(tree: Path) -> None:
    expected = deepfashion(tree)
    run("deepfashion", tree)
    assert "image" not in pq.read_schema(tree.parent / "out/manifest.parquet").names
    (tree / expected.root / "img/C/img_1.jpg").unlink()
    (tree / expected.root / "img/B Top/img_1.jpg").write_bytes(b"\xff" * 20_000_001)
    done = run("deepfashion", tree, copy_images=True)
    manifest = Manifest.open([str(done.out / "manifest.parquet")])
    rows = [row for batch in manifest.batches() for row in batch.to_pylist()]
    assert [row["item_id"] for row in rows] == ["img/A_Dress/img_1.jpg", "img/A_Dress/img_2.jpg"]
    for row in rows:
        assert row_image(row, ()) == (tree / expected.root / row["image_uri"]).read_bytes()
    assert done.journal.skipped.counts["no such picture"] == 1
    assert done.journal.skipped.counts["picture cannot be read: TOO_LARGE"] == 1


def test_lists_can_be_imported_without_pictures(tree: Path) -> None:
    expected = asen_darn(tree)
    for picture in tree.rglob("*.jpg"):
        picture.unlink()
    done = run("asen", tree, set_name="DARN", check_images=False)
    assert done.counts.rows == len(expected.rows) + 1  # and the one whose picture the tree lacks
    assert expected.roles is not None and sum(done.counts.roles.values()) == len(expected.roles) + 1


def test_without_any_picture_it_says_where_it_looked(tree: Path) -> None:
    expected = zappos50k(tree)
    (tree / expected.root).rename(tree.parent / "elsewhere")
    with pytest.raises(ManifestError) as error:
        run("zappos50k", tree)
    assert f"{tree / expected.root}/Shoes/Oxfords/0.jpg: no such picture" in str(error.value)
    assert "--images" in str(error.value) and "utzap50k" in str(error.value)
    assert not (tree.parent / "out").exists()
    done = run("zappos50k", tree, images=tree.parent / "elsewhere")
    assert done.counts.rows == len(expected.rows) and done.root == tree.parent / "elsewhere"


@pytest.mark.parametrize("copy_images", [False, True])
def test_pictures_are_looked_for_where_they_will_be_read(tree: Path, copy_images: bool) -> None:
    expected = zappos50k(tree)
    draw(tree.parent, "secret.jpg")
    root = tree / expected.root
    (root / "Shoes/link.jpg").symlink_to(tree.parent / "secret.jpg")
    (root / "Shoes/dangling.jpg").symlink_to(tree.parent / "none.jpg")
    (root / "Shoes/inside.jpg").symlink_to(root / "Shoes/Oxfords/0.jpg")
    inside = ["Shoes/inside.jpg", f"{root}/Shoes/Oxfords/0.jpg"]
    outside = ["../../secret.jpg", "../../none.jpg", "Shoes/link.jpg", "Shoes/dangling.jpg"]
    outside += [f"{tree.parent}/secret.jpg", f"{tree.parent}/none.jpg", "https://example.org/a.jpg"]
    with (tree / "filenames.json").open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join([*inside, *outside, "Shoes/none.jpg"]))
    done = run("zappos50k", tree, copy_images=copy_images)
    assert done.journal.skipped.counts["picture cannot be read: OUTSIDE_ROOTS"] == len(outside)
    assert done.journal.skipped.counts["no such picture"] == 1
    manifest = Manifest.open([str(done.out / "manifest.parquet")], roots=[str(done.root)])
    found = [row for batch in manifest.batches() for row in batch.to_pylist()]
    assert [row["item_id"] for row in found] == [*expected.rows, *inside]
    assert all(row_image(row, manifest.roots) for row in found)


def test_a_folder_of_pictures_that_is_a_link_elsewhere_is_told(tree: Path) -> None:
    expected = deepfashion(tree)
    (tree / expected.root / "img").rename(tree.parent / "img")
    (tree / expected.root / "img").symlink_to(tree.parent / "img")
    with pytest.raises(ManifestError, match=r"OUTSIDE_ROOTS.*which no link may leave; --images names it"):
        run("deepfashion", tree)
    assert run("deepfashion", tree, images=tree.parent).counts.rows == len(expected.rows)


@pytest.mark.parametrize("copy_images", [False, True])
def test_a_name_that_no_file_can_have_costs_one_item_only(tree: Path, copy_images: bool) -> None:
    expected = zappos50k(tree)
    with (tree / "filenames.json").open("a", encoding="utf-8") as file:
        file.write(f"\nShoes/{'x' * 300}.jpg")
    done = run("zappos50k", tree, copy_images=copy_images)
    assert done.counts.rows == len(expected.rows)
    assert done.journal.skipped.counts["picture cannot be looked for"] == 1


def test_triplets_of_an_item_that_is_left_out_go_with_it(tree: Path) -> None:
    expected = zappos50k(tree)
    (tree / expected.root / "Boots/Ankle/1.jpg").unlink()
    done = run("zappos50k", tree)
    assert done.counts.triplets == {("test", "gender"): 1}
    assert done.journal.skipped.counts["triplet with an item that was left out"] == 2


def test_names_are_in_one_form_in_all_files(tree: Path) -> None:
    zappos50k(tree)
    name = unicodedata.normalize("NFD", "Shoes/Café/5.jpg")
    with (tree / "filenames.json").open("a", encoding="utf-8") as file:
        file.write(f"\n{name}\nShoes/a\tb/6.jpg")
    write(tree / "tripletlists/closure_tripletlist_val.txt", "5 1 0")
    draw(tree / "ut-zap50k-images", name, "Shoes/a\tb/6.jpg")
    done = run("zappos50k", tree)
    ids = pq.read_table(done.out / "manifest.parquet").column("item_id").to_pylist()
    anchors = pq.read_table(done.out / "triplets.parquet").column("anchor").to_pylist()
    assert unicodedata.normalize("NFC", name) in set(ids) & set(anchors) and name not in ids
    assert done.journal.skipped.counts["location that cannot be an item_id"] == 1
    assert Manifest.open([str(done.out / "manifest.parquet")], roots=[str(done.root)]).count() == len(ids)


def test_rows_are_written_in_batches(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = zappos50k(tree)
    monkeypatch.setattr(table, "_ROWS", 2)
    done = run("zappos50k", tree)
    file = pq.ParquetFile(done.out / "manifest.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [2, 2, 1]
    assert file.read().column("item_id").to_pylist() == list(expected.rows)


def test_it_can_be_repeated(tree: Path) -> None:
    zappos50k(tree)
    reports = []
    for _ in range(2):
        done = run("zappos50k", tree)
        reports.append(json.loads((done.out / "report.json").read_text()))
    assert reports[0] == reports[1] and reports[0]["settings"]["path"] == str(tree)


def test_a_folder_that_is_not_there_or_empty_is_told(tree: Path) -> None:
    with pytest.raises(ManifestError, match="none: no such folder; the set is obtained from"):
        run("celeba", tree / "none")
    zappos50k(tree)
    with pytest.raises(ManifestError, match="none: no such folder; --images"):
        run("zappos50k", tree, images=tree / "none")
    write(tree / "filenames.json", "")
    for path in (tree / "tripletlists").iterdir():
        path.write_text("")
    with pytest.raises(ManifestError, match="list no items"):
        run("zappos50k", tree)
