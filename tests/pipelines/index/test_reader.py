from __future__ import annotations

import random

import numpy as np
import pytest

from pipelines.index.committer import Committer
from pipelines.index.naming import ITEMS, attribute_table, class_table
from pipelines.index.publish import publish
from pipelines.index.reader import SnapshotReader

from .support import HOSTILE_IDS, TAXONOMY, Item, receipt

SOME = {f"i{number}": Item(number % 8) for number in range(20)} | {i: Item(2) for i in HOSTILE_IDS}


def everything(reader: SnapshotReader) -> dict[str, list[str]]:
    """All that a reader says, in an order of its own."""
    said = {"items": reader.items(), "prototypes": reader.prototypes()}
    whole = reader.global_rows()
    assert whole is not None
    said["global"] = whole
    for name in TAXONOMY.names:
        said[f"attribute {name}"], said[f"class {name}"] = reader.attribute(name), reader.class_rows(name)
    return {name: sorted(map(repr, table.to_pylist())) for name, table in said.items()}


def test_it_reads_what_was_committed_without_the_sentinel(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    reader = committer.index.reader(publish(committer))
    assert sorted(reader.items(["item_id"])["item_id"].to_pylist()) == sorted(SOME)
    for n, name in enumerate(TAXONOMY.names):
        attribute = reader.attribute(name)
        assert attribute.column_names == ["item_id", "embedding", "classes", "probabilities"]
        assert {row["item_id"]: row["classes"] for row in attribute.to_pylist()} == {
            item_id: item.classes(n) for item_id, item in SOME.items()
        }
        vectors = np.stack(attribute["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, 256))
        expected = [SOME[i].vector(attribute_table(name), "", 256) for i in attribute["item_id"].to_pylist()]
        assert np.array_equal(vectors, np.stack(expected))
        for chosen in ([TAXONOMY.attributes[n].classes[1]], list(TAXONOMY.attributes[n].classes), []):
            found = reader.class_rows(name, chosen)
            pairs = sorted(zip(found["class"].to_pylist(), found["item_id"].to_pylist(), strict=True))
            assert pairs == sorted((c, i) for i, item in SOME.items() for c in item.classes(n) if c in chosen)
    whole = reader.global_rows()
    assert whole is not None and whole.num_rows == len(SOME)


@pytest.mark.parametrize("item_id", [*HOSTILE_IDS, "i3"])
def test_one_item(committer: Committer, item_id: str) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    reader = committer.index.reader(publish(committer))
    item = reader.find_items([item_id])[item_id]
    assert item is not None and (item["item_id"], item["image_hash"]) == (item_id, str(SOME[item_id].look))
    assert "thumbnail" in item
    assert reader.find_items([item_id + "'"]) == {}
    sentinel = reader.dataset(ITEMS).to_table(columns=["item_id"]).to_pydict()["item_id"]
    assert reader.find_items([i for i in sentinel if i < " "]) == {}


def test_it_never_sees_a_later_commit(committer: Committer) -> None:
    dice = random.Random(5)
    committer.commit([receipt(committer, upserts=SOME)])
    readers, said = [], []
    for _ in range(5):
        readers.append(committer.index.reader(publish(committer)))
        said.append(everything(readers[-1]))
        chosen = dice.sample(sorted(SOME), 8)
        change = {i: Item(dice.randrange(8)) for i in chosen[:4]}
        committer.commit([receipt(committer, upserts=change, deletes=chosen[4:])])
    publish(committer)
    for reader, before in zip(readers, said, strict=True):
        assert everything(reader) == before  # through the handles that it has
        assert everything(committer.index.reader(reader.snapshot)) == before  # and through new ones
    assert len({repr(answer) for answer in said}) == 5


def test_a_vector_search_reads_the_pinned_version(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts={"near": Item(1), "far": Item(2)})])
    reader = committer.index.reader(publish(committer))
    table = class_table(TAXONOMY.names[0])
    committer.commit([receipt(committer, upserts={"near": Item(2)})])
    query = Item(1).vector(table, "round", 256)
    found = reader.dataset(table).to_table(nearest={"column": "embedding", "q": query, "k": 9, "metric": "cosine"})
    assert len(found) == sum(len(Item(look).classes(0)) for look in (1, 2))
    assert found["item_id"][0].as_py() == "near"


def test_columns_can_be_chosen_and_thumbnails_come_on_demand(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts=SOME)])
    reader = committer.index.reader(publish(committer))
    assert "thumbnail" not in reader.items().column_names
    assert reader.items(["thumbnail", "item_id"]).column_names == ["thumbnail", "item_id"]
    assert reader.items(["metadata"])["metadata"].to_pylist() == [None] * len(SOME)
