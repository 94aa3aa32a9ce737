"""UT Zappos50K: the classes of meta-data.csv, splits and triplets, all against reading them the plain way."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.data.manifest import Manifest
from pipelines.data.public.command import summary
from pipelines.data.taxonomy import build_taxonomy
from pipelines.errors import ManifestError

from .importer import labels, run
from .trees import draw, write, zappos50k

HEADER = "CID,Category,SubCategory,HeelHeight,Insole,Closure,Gender,Material,ToeStyle\n"
NO_META = "no meta-data.csv, so triplets by closure, gender and heel can only be counted as unknown"


def test_every_attribute_with_triplets_has_classes(tree: Path) -> None:
    expected = zappos50k(tree)
    done = run("zappos50k", tree)
    taxonomy = build_taxonomy(Manifest.open([str(done.out / "manifest.parquet")], roots=[str(done.root)]))
    assert {attribute for _, attribute, *_ in expected.triplets or ()} <= set(taxonomy.names)
    assert {attribute.name: attribute.multi_label for attribute in taxonomy.attributes} == {
        "class": False,
        "closure": True,
        "gender": True,
        "heel": False,
    }


def test_without_meta_data_the_summary_says_what_cannot_be_used(tree: Path) -> None:
    expected = zappos50k(tree)
    (tree / "meta-data.csv").unlink()
    done = run("zappos50k", tree)
    assert labels(done) == {name: {"class": row[2]["class"]} for name, row in expected.rows.items()}
    assert done.journal.noticed.places[NO_META] == [
        f"{tree / 'meta-data.csv'}: no such file; it is in ut-zap50k-data.zip"
    ]
    assert any(f"1 x {NO_META}" in line for line in summary(done, copied=False))
    triplets = pq.read_table(done.out / "triplets.parquet").to_pylist()
    assert [tuple(row.values()) for row in triplets] == expected.triplets


def test_the_unpacked_archive_may_lie_there_as_a_folder(tree: Path) -> None:
    expected = zappos50k(tree)
    (tree / "ut-zap50k-data").mkdir()
    (tree / "meta-data.csv").rename(tree / "ut-zap50k-data/meta-data.csv")
    done = run("zappos50k", tree)
    assert labels(done) == {name: row[2] for name, row in expected.rows.items()}
    assert NO_META not in done.journal.noticed.counts


@pytest.mark.parametrize(
    ("cell", "classes"),
    [
        ("", set()),
        (" ; ", set()),
        ("Slip-On", {"Slip-On"}),
        ("Slip-On;Lace up", {"Slip-On", "Lace up"}),
        ("Slip-On; Slip-On;", {"Slip-On"}),
        ('"Hook, Loop;Zipper"', {"Hook, Loop", "Zipper"}),
    ],
)
def test_cells_of_several_classes(tree: Path, cell: str, classes: set[str]) -> None:
    zappos50k(tree)
    write(tree / "meta-data.csv", f"{HEADER}100627-72,Shoes,Heels,,,{cell},,,\n")
    found = labels(run("zappos50k", tree))["Shoes/Heels/Nine West/100627.72.jpg"]
    assert found == {"class": {"Shoes"}, **({"closure": classes} if classes else {})}


def test_a_location_of_no_folder_has_no_class(tree: Path) -> None:
    zappos50k(tree)
    write(tree / "filenames.json", "0.jpg\nut-zap50k-images/Boots/Ankle/1.jpg\n\n\n2.jpg\n")
    draw(tree / "ut-zap50k-images", "0.jpg", "2.jpg")
    done = run("zappos50k", tree)
    assert labels(done) == {
        "0.jpg": {"gender": {"Boys"}, "heel": {"Flat"}},
        "Boots/Ankle/1.jpg": {"class": {"Boots"}},
        "2.jpg": {},
    }
    assert done.journal.skipped.counts["line without a location"] == 2


def test_an_item_is_of_the_first_split_whose_triplets_have_it(tree: Path) -> None:
    expected = zappos50k(tree)
    names = list(expected.rows)
    for path in (tree / "tripletlists").iterdir():
        path.write_text("")
    write(tree / "tripletlists/closure_tripletlist_test.txt", "0 1 2\n")
    write(tree / "tripletlists/heel_tripletlist_val.txt", "1 2 3\n")
    write(tree / "tripletlists/class_tripletlist_train.txt", "2 2 2\n")
    rows = pq.read_table(run("zappos50k", tree).out / "manifest.parquet").to_pylist()
    assert [row["split"] for row in rows] == ["test", "val", "train", "val", None]
    assert [row["item_id"] for row in rows] == names


def test_another_table_is_refused(tree: Path) -> None:
    zappos50k(tree)
    write(tree / "meta-data.csv", "CID,Category.Shoes,Closure.Zipper\n100627-72,1,0\n")
    with pytest.raises(ManifestError, match=r"meta-data.csv: line 1 does not name the columns CID, Closure, Gender"):
        run("zappos50k", tree)
