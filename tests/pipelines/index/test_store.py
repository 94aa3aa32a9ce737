from __future__ import annotations

from pathlib import Path

import lance
import pyarrow as pa
import pytest
import torch

from pipelines.errors import StoreError
from pipelines.index.committer import Committer
from pipelines.index.generation import generation_name
from pipelines.index.lease import Lease
from pipelines.index.naming import GLOBAL, ITEMS, PROTOTYPES, class_table
from pipelines.index.publish import publish
from pipelines.index.store import Index, index_uri

from .support import TAXONOMY, Item, assert_tables_hold, checkpoint, receipt


def test_there_must_be_one_to_open(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no index at .*nothing"):
        Index.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_file_is_no_index(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        Index.create(path)
    with pytest.raises(StoreError, match="s3://"):
        Index.open("gs://bucket/index")


def test_addresses_have_one_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert index_uri("index") == index_uri(tmp_path / "index") == str(tmp_path / "index")
    assert index_uri("s3://bucket/index/") == "s3://bucket/index"


def test_an_empty_index_publishes_nothing(index: Index) -> None:
    assert index.latest() is None
    assert index.snapshots() == index.generations() == ()
    with pytest.raises(StoreError, match="no snapshot 's00000001'"):
        index.snapshot("s00000001")
    with pytest.raises(StoreError, match="no generation 'x'; it has: none"):
        index.generation("x")


def test_creating_twice_is_opening(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts={"a": Item(1)})])
    index = Index.create(committer.index.uri)
    assert index.create_generation(checkpoint(), "/elsewhere") == committer.generation
    assert len(index.generations()) == 1
    assert_tables_hold(committer, {"a": Item(1)})


def test_a_generation_that_was_half_made_is_finished(index: Index) -> None:
    generation = index.create_generation(checkpoint(), "/c")
    other = Index.create(index.uri + "2")
    half = ("dead_letters", GLOBAL)
    for table in half:  # as a process that was killed had left it
        rows = index.dataset(table, generation.name).to_table()
        lance.write_dataset(rows, other.table_uri(table, generation.name))
    with Lease(other.uri) as lease:
        committer = Committer(other, other.create_generation(checkpoint(), "/c"), lease)
        committer.commit([receipt(committer, upserts={"a": Item(1)})])
        assert_tables_hold(committer, {"a": Item(1)})


def test_a_generation_is_its_model_preparation_and_taxonomy(index: Index) -> None:
    one, other = checkpoint(), checkpoint(seed=1)
    names = {
        generation_name(one.digest, one.preparation, one.taxonomy),
        generation_name(other.digest, one.preparation, one.taxonomy),
        generation_name(one.digest, type(one.preparation)(48, 48), one.taxonomy),
        generation_name(one.digest, one.preparation, type(TAXONOMY)(TAXONOMY.attributes[:1])),
    }
    assert len(names) == 4
    generation = index.create_generation(one, "/c")
    read = Index.open(index.uri).generation(generation.name)
    assert read == generation
    assert (read.width, read.class_width, read.global_width) == (256, 256, 8)
    assert (read.taxonomy, read.preparation) == (TAXONOMY, one.preparation)


def test_prototypes_are_those_of_the_classes_that_were_seen(index: Index) -> None:
    generation = index.create_generation(checkpoint(), "/c")
    table = index.dataset(PROTOTYPES, generation.name).to_table().to_pylist()
    prototypes = checkpoint().prototypes
    assert prototypes is not None and prototypes.class_level is not None
    pairs = [TAXONOMY.class_name(i) for i in range(TAXONOMY.class_count)]
    assert [(row["attribute"], row["class"]) for row in table] == pairs[1:]  # the first has count 0
    assert [row["count"] for row in table] == [1, 2, 3, 4]
    assert torch.equal(torch.tensor([row["attribute_embedding"] for row in table]), prototypes.attribute[1:])
    assert torch.equal(torch.tensor([row["class_embedding"] for row in table]), prototypes.class_level[1:])


def test_an_encoder_without_a_class_level_has_no_class_tables(index: Index) -> None:
    with Lease(index.uri) as lease:
        generation = index.create_generation(checkpoint(has_classes=False), "/c")
        assert class_table(TAXONOMY.names[0]) not in generation.tables
        committer = Committer(index, generation, lease)
        committer.commit([receipt(committer, upserts={"a": Item(1)})])
        assert_tables_hold(committer, {"a": Item(1)})
        rows = index.dataset(PROTOTYPES, generation.name).to_table()
        assert rows["class_embedding"].null_count == rows.num_rows == 4
        assert publish(committer).class_width is None


@pytest.mark.parametrize("first", [(), (pa.field("price", pa.int64()),)], ids=["none", "some"])
def test_metadata_columns_may_come_later(index: Index, first: tuple[pa.Field, ...]) -> None:
    added = (pa.field("price", pa.int64()), pa.field("Größe, cm", pa.float64()))
    with Lease(index.uri) as lease:
        generation = index.create_generation(checkpoint(), "/c", first)
        committer = Committer(index, generation, lease)
        committer.commit([receipt(committer, upserts={"old": Item(1)})])
        early = receipt(committer, upserts={"written before, committed after": Item(2)})
        index.create_generation(checkpoint(), "/c", added)
        committer.refresh()
        committer.commit([early])
        committer.commit([receipt(committer, upserts={"new": Item(3)})])
        snapshot = publish(committer)
    items = index.reader(snapshot).items()
    assert [(field.name, field.type) for field in items.schema.field("metadata").type] == [
        (field.name, field.type) for field in added
    ]
    assert sorted(items["item_id"].to_pylist()) == ["new", "old", "written before, committed after"]
    schema = Index.open(index.uri).dataset(ITEMS, generation.name).schema
    index.create_generation(checkpoint(), "/c", first)  # fewer columns take none away
    assert Index.open(index.uri).dataset(ITEMS, generation.name).schema == schema
