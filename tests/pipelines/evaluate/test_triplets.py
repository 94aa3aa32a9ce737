"""Triplet accuracy against a loop; files; triplets drawn from labels."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.taxonomy import Attribute, Taxonomy
from pipelines.evaluate import triplets
from pipelines.evaluate.embedded import Embedded
from pipelines.evaluate.triplets import COLUMNS, draw_triplets, evaluate_triplets, read_triplets

from .random_sets import TAXONOMY, random_embedded


def table_of(rows: list[tuple[str, str, str, str]]) -> pa.Table:
    return pa.table({name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(COLUMNS)})


def slow_accuracy(embedded: Embedded, rows: list[tuple[str, str, str, str]]) -> dict[str, list[bool]]:
    """Whether each triplet is right, by attribute."""
    right: dict[str, list[bool]] = {}
    for name, *ids in rows:
        if name in TAXONOMY.names and all(one in embedded.item_ids for one in ids):
            places = [embedded.item_ids.index(one) for one in ids]
            a, p, n = (embedded.attribute_embeddings[place, TAXONOMY.position(name)] for place in places)
            right.setdefault(name, []).append(float(a @ p) > float(a @ n))
    return right


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.integers(0, 30))
def test_equals_a_loop(seed: int, count: int) -> None:
    embedded, rng = random_embedded(seed, 8), np.random.default_rng(seed)
    ids = [*embedded.item_ids, "gone"]
    rows = [
        (str(rng.choice([*TAXONOMY.names, "colour"])), *(str(rng.choice(ids)) for _ in range(3))) for _ in range(count)
    ]
    expected = slow_accuracy(embedded, rows)
    found = evaluate_triplets(embedded, table_of(rows))
    assert list(found.attributes) == [name for name in TAXONOMY.names if name in expected]
    for name, right in expected.items():
        assert found.attributes[name].scores.values["accuracy"].tolist() == right
        assert found.attributes[name].accuracy == pytest.approx(np.mean(right))
    every = [one for right in expected.values() for one in right]
    assert len(found) == len(every)
    assert found.overall == pytest.approx(np.mean(every)) if every else np.isnan(found.overall)
    assert found.unknown_attributes == sum(name == "colour" for name, *_ in rows)
    assert found.unknown_items == count - len(every) - found.unknown_attributes


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = random_embedded(0, 30)
    drawn = draw_triplets(embedded, 40)
    whole = evaluate_triplets(embedded, drawn)
    monkeypatch.setattr(triplets, "_CHUNK", 20)
    cut = evaluate_triplets(embedded, drawn)
    for name, part in whole.attributes.items():
        assert np.array_equal(part.scores.values["accuracy"], cut.attributes[name].scores.values["accuracy"])


def test_a_tie_is_no_success() -> None:
    embedded = random_embedded(0, 4)
    same = dataclasses.replace(embedded, attribute_embeddings=np.ones_like(embedded.attribute_embeddings))
    assert evaluate_triplets(same, table_of([("collar", "item 0", "item 1", "item 2")])).overall == 0


def test_the_same_items_in_another_order_have_the_same_triplets() -> None:
    """Nor does it matter in which order a taxonomy has its attributes and classes."""
    embedded = random_embedded(0, 24)
    order = np.random.default_rng(1).permutation(24)
    attributes = [replace(one, classes=one.classes[::-1]) for one in TAXONOMY.attributes[::-1]]
    turned = Taxonomy(tuple(attributes))
    place = [TAXONOMY.class_index(*turned.class_name(m)) for m in range(turned.class_count)]
    other = dataclasses.replace(
        embedded,
        item_ids=[embedded.item_ids[item] for item in order],
        carried=embedded.carried[order][:, place],
        known=embedded.known[order][:, ::-1],
        predicted=embedded.predicted[order][:, place],
        taxonomy=turned,
    )
    first, second = (draw_triplets(one, 30).to_pylist() for one in (embedded, other))
    key = itemgetter(*COLUMNS)
    assert sorted(first, key=key) == sorted(second, key=key) and first != second


def test_drawn_triplets_are_triplets() -> None:
    embedded = random_embedded(3, 40)
    drawn = draw_triplets(embedded, 300, seed=5)
    assert Counter(drawn["attribute"].to_pylist()) == dict.fromkeys(TAXONOMY.names, 300)
    for name, *ids in zip(*(drawn[column].to_pylist() for column in COLUMNS), strict=True):
        span = TAXONOMY.span(TAXONOMY.position(name))
        a, p, n = (
            {int(m) for m in np.flatnonzero(embedded.carried[embedded.item_ids.index(one), span])} for one in ids
        )
        assert ids[0] != ids[1] and n and (a & p) - n  # they share a class that the negative lacks
    assert drawn.equals(draw_triplets(embedded, 300, seed=5)) and not drawn.equals(draw_triplets(embedded, 300, seed=6))


def labelled(classes: list[list[int]], count: int, *, multi_label: bool) -> Embedded:
    """Items of one attribute with these classes."""
    taxonomy = Taxonomy((Attribute("a", tuple(f"c{m}" for m in range(count)), multi_label),))
    carried = np.zeros((len(classes), count), bool)
    for item, row in enumerate(classes):
        carried[item, row] = True
    base = random_embedded(0, len(classes), taxonomy=taxonomy)
    return dataclasses.replace(base, carried=carried, known=carried.any(1)[:, None], class_embeddings=None)


def test_values_are_balanced_whatever_their_frequency() -> None:
    embedded = labelled([[0]] * 90 + [[1]] * 6 + [[2]] * 4, 3, multi_label=False)
    of = {item_id: int(row.argmax()) for item_id, row in zip(embedded.item_ids, embedded.carried, strict=True)}
    drawn = draw_triplets(embedded, 3000)
    pairs = Counter(
        (of[a], of[n]) for a, n in zip(drawn["anchor"].to_pylist(), drawn["negative"].to_pylist(), strict=True)
    )
    assert len(pairs) == 6 and all(abs(number - 500) < 4 * np.sqrt(500) for number in pairs.values())


def test_what_no_triplet_can_be_made_of() -> None:
    # A value with one item is no anchor's, but may be a negative's; and whoever carries both is not its negative.
    embedded = labelled([[0], [0], [1]], 2, multi_label=False)
    drawn = draw_triplets(embedded, 20)
    assert len(drawn) == 20 and set(drawn["negative"].to_pylist()) == {embedded.item_ids[2]}
    assert len(draw_triplets(labelled([[0], [1]], 2, multi_label=False), 20)) == 0
    assert len(draw_triplets(labelled([[0], [0]], 2, multi_label=False), 20)) == 0
    assert len(draw_triplets(labelled([[0, 1], [0, 1]], 2, multi_label=True), 20)) == 0


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "triplets.parquet"
    table = table_of([("collar", "a", "b", "c"), ("print", "d", "e", "f")])
    pq.write_table(table.append_column("split", pa.array(["test", "val"])), path)
    assert read_triplets(path).equals(table) and read_triplets(path, "val").equals(table.slice(1))
    pq.write_table(table, path)
    assert read_triplets(path, "val").equals(table)  # it has no splits
