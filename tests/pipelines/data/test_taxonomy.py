"""The taxonomy of a manifest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import TaxonomyError
from model.taxonomy import Attribute, Taxonomy
from pipelines.data.manifest import Manifest
from pipelines.data.taxonomy import build_taxonomy, load_taxonomy, save_taxonomy

from .pictures import shop

ROWS = [{"b": ["x"], "a": ["2", "1"], "none": []}, {"b": ["x", "x"]}, {"b": ["w"], "a": ["1"]}]


def test_attributes_in_order_classes_sorted_and_multi_label_seen(tmp_path: Path) -> None:
    manifest = Manifest.open([shop(tmp_path / "x.parquet", ROWS)], attributes=["b", "none", "a"])
    expected = Taxonomy((Attribute("b", ("w", "x")), Attribute("a", ("1", "2"), multi_label=True)))
    assert build_taxonomy(manifest) == expected


def test_ignore_and_min_count(tmp_path: Path) -> None:
    manifest = Manifest.open([shop(tmp_path / "x.parquet", ROWS)])
    assert build_taxonomy(manifest, ignore=["a"]).names == ("b",)
    assert build_taxonomy(manifest, min_count=2) == Taxonomy((Attribute("a", ("1",), True), Attribute("b", ("x",))))
    with pytest.raises(TaxonomyError, match="cannot ignore \\['c'\\]"):
        build_taxonomy(manifest, ignore=["c"])
    with pytest.raises(TaxonomyError, match="no labels"):
        build_taxonomy(manifest, ignore=["a", "b"])
    with pytest.raises(TaxonomyError, match="no labels"):
        build_taxonomy(manifest, min_count=9)


def test_a_manifest_without_labels_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("item_id,image_uri,collar\n1,a.jpg,round\n")
    with pytest.raises(TaxonomyError, match="metadata columns: collar"):
        build_taxonomy(Manifest.open([str(tmp_path / "x.csv")], roots=["."]))


def test_an_impossible_class_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyError, match="control character"):
        build_taxonomy(Manifest.open([shop(tmp_path / "x.parquet", [{"a": ["bad\x00name"]}])]))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["a", "b"]), st.lists(st.sampled_from("xyz"), max_size=3)),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 3),
)
def test_against_counting_by_hand(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, list[str]]], least: int
) -> None:
    manifest = Manifest.open([shop(tmp_path_factory.mktemp("taxonomy") / "x.parquet", rows)])
    expected = []
    for name in sorted({name for row in rows for name in row}):
        counts = Counter(c for row in rows for c in set(row.get(name, ())))
        classes = tuple(sorted(c for c in counts if counts[c] >= least))
        if classes:
            expected.append(Attribute(name, classes, any(len(set(row.get(name, ()))) > 1 for row in rows)))
    if expected:
        assert build_taxonomy(manifest, min_count=least) == Taxonomy(tuple(expected))
    else:
        with pytest.raises(TaxonomyError):
            build_taxonomy(manifest, min_count=least)


def test_it_is_written_and_read(tmp_path: Path) -> None:
    taxonomy = Taxonomy((Attribute("neck line", ("é", "v|w"), True),))
    save_taxonomy(tmp_path / "t.json", taxonomy)
    assert load_taxonomy(tmp_path / "t.json") == taxonomy
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"attributes": [{"name": "a"}]}', '{"attributes": 3}'])
def test_what_is_no_taxonomy_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(TaxonomyError):
        load_taxonomy(tmp_path / "t.json")
    with pytest.raises(TaxonomyError, match="no such taxonomy"):
        load_taxonomy(tmp_path / "none.json")
