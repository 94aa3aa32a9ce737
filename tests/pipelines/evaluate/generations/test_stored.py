"""What is read of an index, against its rows one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.taxonomy import Attribute, Taxonomy
from pipelines.errors import StoreError
from pipelines.evaluate.generations.common import CommonItems, CommonTaxonomy, read_labels
from pipelines.evaluate.generations.stored import read_embedded
from pipelines.index.committed import committed_tables
from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.naming import ITEMS, attribute_table, class_table
from pipelines.index.schema import LIVE
from pipelines.index.store import Index
from tests.pipelines.index.support import HOSTILE_IDS, Item, checkpoint, receipt

LOOKS = {item_id: Item(number % 8, "v-neck" if number % 2 else "round") for number, item_id in enumerate(HOSTILE_IDS)}


@pytest.mark.parametrize("has_classes", [True, False])
def test_rows_become_arrays(tmp_path: Path, has_classes: bool) -> None:
    index, model = Index.create(tmp_path / "index"), checkpoint(has_classes)
    with Lease(index.uri) as lease:
        committer = Committer(index, index.create_generation(model, "/c"), lease)
        for item_id, item in LOOKS.items():
            committer.commit([receipt(committer, upserts={item_id: item})])
    # In another order of attributes and classes, and without one class.
    pattern = Attribute("Muster/größe", ("tribal", "dots"), True)
    taxonomy = Taxonomy((pattern, Attribute("collar design", ("round", "v-neck"))))
    tables = committed_tables(index, committer.generation)
    ledger = tables[ITEMS].to_table(columns=["item_id", "labels", "thumbnail"], filter=LIVE)
    items = read_labels(ledger.slice(2), CommonTaxonomy(taxonomy, np.ones(taxonomy.class_count, bool), ()))
    embedded = read_embedded(tables, committer.generation, model.encoder, items)
    assert embedded.item_ids == sorted(embedded.item_ids) and len(embedded) == len(LOOKS) - 2
    pairs = {}
    for row, item_id in enumerate(embedded.item_ids):
        look = LOOKS[item_id]
        for n, attribute in enumerate(taxonomy.attributes):
            old = 1 - n
            stored = look.vector(attribute_table(attribute.name), "", 256).astype(np.float32)
            assert np.array_equal(embedded.attribute_embeddings[row, n], stored)
            for m, name in enumerate(attribute.classes):
                has = name in look.classes(old)
                index_of_class = taxonomy.offsets[n] + m
                assert embedded.predicted[row, index_of_class] == has
                assert embedded.probabilities[row, index_of_class] == (0.5 if has else 0)
                if has:
                    vector = look.vector(class_table(attribute.name), name, 256).astype(np.float32)
                    pairs[row, index_of_class] = vector
        assert embedded.carried[row].tolist() == [False, False, look.label == "round", look.label == "v-neck"]
    assert list(zip(embedded.pair_item.tolist(), embedded.pair_class.tolist(), strict=True)) == sorted(pairs)
    assert (embedded.class_embeddings is not None) == has_classes
    if embedded.class_embeddings is not None:
        assert np.array_equal(embedded.class_embeddings, np.stack([pairs[key] for key in sorted(pairs)]))


def test_an_item_that_is_gone_is_told(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts={"a": Item(1)})])
    taxonomy = committer.generation.taxonomy
    nobody = np.zeros((2, taxonomy.class_count), bool), np.zeros((2, 2), bool)
    items = CommonItems(["a", "gone"], *nobody, taxonomy, [None, None])
    with pytest.raises(StoreError, match="has changed while it was read"):
        read_embedded(committer.datasets, committer.generation, checkpoint().encoder, items)
