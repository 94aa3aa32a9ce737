"""What generations have in common."""

from __future__ import annotations

import pyarrow as pa
import pytest

from model.taxonomy import Attribute, Taxonomy
from pipelines.errors import StoreError
from pipelines.evaluate.generations.common import common_taxonomy, draw_items, read_labels

COLLAR = Attribute("collar", ("crew", "v-neck", "polo"))
PRINT = Attribute("print", ("dots", "tribal"), multi_label=True)


def ledger(rows: dict[str, dict[str, list[str] | None] | None]) -> pa.Table:
    labels = pa.struct([("collar", pa.list_(pa.string())), ("print", pa.list_(pa.string()))])
    schema = pa.schema([("item_id", pa.string()), ("labels", labels), ("thumbnail", pa.binary())])
    records = [{"item_id": item_id, "labels": row, "thumbnail": None} for item_id, row in rows.items()]
    return pa.Table.from_pylist(records, schema)


def test_the_same_taxonomy_is_common_as_it_is() -> None:
    whole = Taxonomy((COLLAR, PRINT))
    assert common_taxonomy([whole, whole]) == (whole, [])


def test_classes_and_attributes_of_one_alone_are_left_out_and_told() -> None:
    other = Attribute("collar", ("polo", "crew", "mandarin"))
    taxonomy, left_out = common_taxonomy(
        [Taxonomy((PRINT, COLLAR)), Taxonomy((other, Attribute("length", ("short",))))]
    )
    assert taxonomy == Taxonomy((Attribute("collar", ("crew", "polo")),))
    assert left_out == ["print", "collar: mandarin", "collar: v-neck", "length"]


def test_attributes_of_another_kind_are_not_compared() -> None:
    other = Attribute("print", PRINT.classes)
    taxonomy, left_out = common_taxonomy([Taxonomy((PRINT,)), Taxonomy((other,))])
    assert taxonomy is None
    assert left_out == ["print (multi-label in one, not in the other)"]
    disjoint = common_taxonomy([Taxonomy((COLLAR,)), Taxonomy((Attribute("collar", ("bow",)),))])
    assert disjoint == (None, ["collar"])


def test_items_that_all_have_are_drawn_and_labelled_ones_first() -> None:
    every = {f"i{number}": {"collar": ["crew"] if number % 3 == 0 else [], "print": None} for number in range(30)}
    first, other = ledger({**every, "only here": {"collar": ["crew"], "print": []}}), ledger(every).select(["item_id"])
    taxonomy = Taxonomy((COLLAR, PRINT))
    labelled = {f"i{number}" for number in range(0, 30, 3)}
    few = draw_items([first, other], taxonomy, 6, 0)
    assert len(few) == 6 and set(few) <= labelled and few == sorted(few)
    assert few != draw_items([first, other], taxonomy, 6, 1)
    assert draw_items([first, other], taxonomy, 6, 0) == few
    more = draw_items([first, other], taxonomy, 14, 0)
    assert len(more) == 14 and labelled < set(more) and set(more) <= set(every)
    assert draw_items([first, other], taxonomy, 100, 0) == sorted(every)
    # Labels of attributes that are not compared are none; nor does the order of the rows matter.
    assert set(draw_items([first, other], Taxonomy((PRINT,)), 100, 0)) == set(every)
    shuffled = first.take(pa.array(range(len(first))[::-1]))
    assert draw_items([shuffled, other], taxonomy, 6, 0) == few


def test_labels_are_those_of_the_rows() -> None:
    taxonomy = Taxonomy((Attribute("collar", ("crew", "polo")), PRINT))
    rows = {
        "b": {"collar": ["v-neck"], "print": ["tribal", "dots"]},
        "a": {"collar": ["polo"], "print": None},
        "c": None,
    }
    items = read_labels(ledger(rows), taxonomy)
    assert items.item_ids == ["a", "b", "c"]
    assert items.carried.tolist() == [[False, True, False, False], [False, False, True, True], [False] * 4]
    assert items.known.tolist() == [[True, False], [False, True], [False, False]], "a class that is left out is none"
    with pytest.raises(StoreError, match="item 'a' has no thumbnail"):
        items.image(0)
