"""What generations have in common."""

from __future__ import annotations

import io
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from model.taxonomy import Attribute, Taxonomy
from pipelines.evaluate.generations.common import (
    CommonTaxonomy,
    Ledger,
    common_taxonomy,
    draw_items,
    read_labels,
    read_ledger,
)

COLLAR = Attribute("collar", ("crew", "v-neck", "polo"))
PRINT = Attribute("print", ("dots", "tribal"), multi_label=True)
Labels = dict[str, list[str] | None] | None


def table_of(rows: dict[str, Labels], hashes: dict[str, str] | None = None) -> pa.Table:
    labels = pa.struct([("collar", pa.list_(pa.string())), ("print", pa.list_(pa.string()))])
    fields = [("item_id", pa.string()), ("image_hash", pa.string()), ("labels", labels), ("thumbnail", pa.binary())]
    records = [
        {"item_id": item_id, "labels": row, "image_hash": (hashes or {}).get(item_id, "same")}
        for item_id, row in rows.items()
    ]
    return pa.Table.from_pylist(records, pa.schema(fields))


def ledger(folder: Path, table: pa.Table, *attributes: str) -> Ledger:
    uri = str(folder / f"{len(list(folder.iterdir()))}.lance")
    return read_ledger(lance.write_dataset(table, uri, max_rows_per_file=7), attributes)


def whole(*attributes: Attribute) -> CommonTaxonomy:
    found = common_taxonomy([Taxonomy(attributes)] * 2)
    assert found is not None
    return found


def test_the_same_taxonomy_is_common_as_it_is() -> None:
    common = whole(COLLAR, PRINT)
    assert common.taxonomy == Taxonomy((COLLAR, PRINT))
    assert common.compared.all() and common.left_out == ()


def test_classes_of_one_alone_make_tiers_and_are_not_compared() -> None:
    other = Attribute("collar", ("polo", "crew", "mandarin"))
    common = common_taxonomy([Taxonomy((PRINT, COLLAR)), Taxonomy((other, Attribute("length", ("short",))))])
    assert common is not None
    assert common.taxonomy == Taxonomy((Attribute("collar", ("crew", "v-neck", "polo", "mandarin")),))
    assert common.compared.tolist() == [True, False, True, False]
    assert common.left_out == ("print", "collar: v-neck", "collar: mandarin", "length")


def test_attributes_of_another_kind_are_not_compared() -> None:
    other = Attribute("print", PRINT.classes)
    assert common_taxonomy([Taxonomy((PRINT,)), Taxonomy((other,))]) is None
    common = common_taxonomy([Taxonomy((COLLAR, PRINT)), Taxonomy((COLLAR, other))])
    assert common is not None
    assert common.left_out == ("print (multi-label in one, not in the other)",)
    assert common_taxonomy([Taxonomy((COLLAR,)), Taxonomy((Attribute("collar", ("bow",)),))]) is None


def test_items_that_all_have_are_drawn_and_labelled_ones_first(tmp_path: Path) -> None:
    every: dict[str, Labels] = {
        f"i{number}": {"collar": ["crew"] if number % 3 == 0 else [], "print": None} for number in range(30)
    }
    more = {**every, "only here": {"collar": ["crew"], "print": []}, "another picture": {"collar": ["crew"]}}
    first = ledger(tmp_path, table_of(more), "collar", "print")
    other = ledger(tmp_path, table_of({**every, "another picture": None}, {"another picture": "new"}))
    labelled = {f"i{number}" for number in range(0, 30, 3)}
    few, among = draw_items([first, other], 6, 0)
    assert len(few) == 6 and set(few) <= labelled and few == sorted(few) and among == 30
    assert few != draw_items([first, other], 6, 1)[0]
    assert few == draw_items([first, other], 6, 0)[0]
    drawn, _ = draw_items([first, other], 14, 0)
    assert len(drawn) == 14 and labelled < set(drawn) and set(drawn) <= set(every)
    assert draw_items([first, other], 100, 0) == (sorted(every), 30)
    # Neither the order of the rows matters, nor labels of attributes that are not compared.
    turned = table_of(more).take(pa.array(range(len(more))[::-1]))
    assert draw_items([ledger(tmp_path, turned, "collar"), other], 6, 0)[0] == few
    assert not ledger(tmp_path, table_of(more), "print").labelled.any()
    nothing = ledger(tmp_path, table_of({}))
    assert draw_items([first, nothing], 6, 0) == ([], 0)


def test_labels_are_those_of_the_rows_and_of_compared_classes() -> None:
    common = common_taxonomy([Taxonomy((COLLAR, PRINT)), Taxonomy((Attribute("collar", ("crew", "polo")), PRINT))])
    assert common is not None
    rows: dict[str, Labels] = {
        "b": {"collar": ["v-neck"], "print": ["tribal", "dots"]},
        "a": {"collar": ["polo"], "print": None},
        "c": None,
    }
    items = read_labels(table_of(rows), common)
    assert items.item_ids == ["a", "b", "c"]
    assert items.carried.tolist() == [
        [False, False, True, False, False],
        [False, False, False, True, True],
        [False] * 5,
    ]
    assert items.known.tolist() == [[True, False], [False, True], [False, False]], "a class of one alone is none"


def test_an_item_without_a_thumbnail_is_grey() -> None:
    items = read_labels(table_of({"a": None}), whole(COLLAR))
    with Image.open(io.BytesIO(items.image(0))) as image:
        assert len(set(np.asarray(image).ravel().tolist())) == 1
    assert read_labels(table_of({"a": None}).drop_columns(["thumbnail"]), whole(COLLAR)).thumbnails == [None]


@pytest.mark.parametrize("count", [0, 3])
def test_a_ledger_of_few_rows_is_read(tmp_path: Path, count: int) -> None:
    assert len(ledger(tmp_path, table_of({f"i{n}": None for n in range(count)}), "collar")) == count
