from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import lance
import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import StoreError
from pipelines.index import gate as gate_module
from pipelines.index.committer import Committer
from pipelines.index.datasets import write_rows
from pipelines.index.gate import Gate, GateSettings
from pipelines.index.naming import GLOBAL, ITEMS, attribute_table, class_table
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.receipt import Receipt
from pipelines.index.upkeep import UpkeepSettings, maintain
from pipelines.index.vector_index import VectorIndexSettings, nearest

from .support import TAXONOMY, Item, receipt, rows

SOME = {f"i{number}": Item(number % 8) for number in range(40)}
ATTRIBUTE, CLASSES = attribute_table(TAXONOMY.names[0]), class_table(TAXONOMY.names[1])


def with_rows(committer: Committer, whole: Receipt, table: str, content: pa.Table) -> Receipt:
    """The receipt of a worker that wrote other rows into one table."""
    fragments = write_rows(committer.datasets[table], content)
    return replace(whole, fragments={**whole.fragments, table: fragments})


def refused(committer: Committer, why: str, **settings: float) -> None:
    """Refused, whether the changed items alone are looked at or all of them; and nothing changes."""
    before = committer.index.latest()
    changed = committer.changed
    for known in (changed, None):
        committer.changed = known
        with pytest.raises(StoreError, match=f"nothing is published at .*{why}"):
            publish(committer, settings=PublishSettings(gate=GateSettings(**settings)))
        assert committer.index.latest() == before
    committer.changed = changed


@pytest.fixture
def published(committer: Committer) -> Committer:
    committer.commit([receipt(committer, upserts=SOME)])
    assert publish(committer).items == 40
    assert committer.changed == set()
    return committer


@pytest.mark.parametrize("table", [ITEMS, ATTRIBUTE, GLOBAL, CLASSES])
def test_a_key_that_stands_twice(published: Committer, table: str) -> None:
    new = {"new": Item(3)}
    twice = pa.concat_tables([rows(published, new, 2, table)] * 2)
    published.commit([with_rows(published, receipt(published, upserts=new), table, twice)])
    refused(published, rf"table {table} holds \d+ keys twice")


@pytest.mark.parametrize("table", [ATTRIBUTE, GLOBAL, CLASSES])
def test_a_row_of_no_item(published: Committer, table: str) -> None:
    whole = receipt(published, upserts={"new": Item(3)})
    more = rows(published, {"new": Item(3), "foreign": Item(2)}, 2, table)
    published.commit([replace(with_rows(published, whole, table, more), replaced=("new", "foreign"))])
    refused(published, rf"table {table} holds, and items does not, 1 items")


@pytest.mark.parametrize("table", [ATTRIBUTE, GLOBAL])
def test_an_item_without_its_row(published: Committer, table: str) -> None:
    whole = receipt(published, upserts={"new": Item(3)})
    published.commit([with_rows(published, whole, table, rows(published, {}, 2, table))])
    refused(published, rf"table {table} lacks 1 items")


def test_too_many_items_gone(published: Committer) -> None:
    published.commit([receipt(published, deletes=list(SOME)[:25])])
    refused(published, r"of 40 served items 15 are left, and --gate.max-loss is 0.5")
    assert publish(published, settings=PublishSettings(gate=GateSettings(max_loss=0.7))).checks["loss"] == 25 / 40


def test_a_bound_that_is_met_is_met(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts={f"i{n}": Item(n % 8) for n in range(10)})])
    publish(committer)
    committer.commit([receipt(committer, deletes=["i0", "i1", "i2"])])
    assert publish(committer, settings=PublishSettings(gate=GateSettings(max_loss=0.0 + 3 / 10))).items == 7


def commit_vectors(committer: Committer, vectors: Mapping[str, np.ndarray]) -> None:
    items = {item_id: Item(1) for item_id in vectors}
    content = rows(committer, items, 2, ATTRIBUTE)
    column = pa.array([vectors[key] for key in items], content.schema.field("embedding").type)
    content = content.set_column(content.schema.get_field_index("embedding"), content.schema.field("embedding"), column)
    committer.commit([with_rows(committer, receipt(committer, upserts=items), ATTRIBUTE, content)])


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(256)
    return (vector / np.linalg.norm(vector)).astype(np.float16)


def test_an_embedding_that_is_no_unit_vector(published: Committer) -> None:
    commit_vectors(published, {"new": unit(0) * np.float16(1.1)})
    refused(published, rf"table {ATTRIBUTE} has an embedding whose norm is 0.0996 from 1")


def test_embeddings_that_are_all_the_same(committer: Committer) -> None:
    commit_vectors(committer, {f"n{number}": unit(0) for number in range(30)})
    refused(committer, rf"embeddings of table {ATTRIBUTE} are nearly all the same", sample=20)


def test_new_items_that_share_a_placeholder(published: Committer) -> None:
    """Their encoder is not broken: the embeddings of the others differ."""
    published.commit([receipt(published, upserts={f"new {number}": Item(3) for number in range(30)})])
    assert publish(published, settings=PublishSettings(gate=GateSettings(sample=20))).checks["spread"] > 0.1


def bad_nearest(dataset: lance.LanceDataset, query: np.ndarray, count: int) -> pa.Table:
    """What an index finds that knows nothing of what is near."""
    return nearest(dataset, query, 300, exact=True).slice(200)


INDEXED = PublishSettings(upkeep=UpkeepSettings(vector=VectorIndexSettings(rows=256)))
BAD_INDEX = r"the vector index of table attribute-.* finds 0.0% of the 10 nearest"


def test_an_index_that_does_not_find_the_nearest(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    committer.commit([receipt(committer, upserts={f"i{n}": Item(n) for n in range(300)})])
    with monkeypatch.context() as patch:
        patch.setattr(gate_module, "nearest", bad_nearest)
        with pytest.raises(StoreError, match=BAD_INDEX):
            publish(committer, settings=INDEXED)
    assert publish(committer, settings=INDEXED).checks["recall"] >= 0.95


def test_a_bad_index_is_refused_however_often(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    def again() -> Committer:
        return Committer(committer.index, committer.generation, committer.lease)

    committer.commit([receipt(committer, upserts={f"i{n}": Item(n) for n in range(250)})])
    publish(committer, settings=INDEXED)
    second = again()
    second.commit([receipt(second, upserts={f"i{n}": Item(n) for n in range(250, 300)})])
    with monkeypatch.context() as patch:
        patch.setattr(gate_module, "nearest", bad_nearest)
        for retried in (lambda: second, lambda: second, again):  # the first builds it, all others find it there
            with pytest.raises(StoreError, match=BAD_INDEX):
                publish(retried(), settings=INDEXED)
    assert publish(again(), settings=INDEXED).checks["recall"] >= 0.95


def test_an_index_of_a_run_that_was_killed_before_the_gate(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer.commit([receipt(committer, upserts={f"i{n}": Item(n) for n in range(300)})])
    publish(committer)
    maintain(committer, INDEXED.upkeep)  # and no more; nothing was committed, and it has an index now
    monkeypatch.setattr(gate_module, "nearest", bad_nearest)
    with pytest.raises(StoreError, match=BAD_INDEX):
        publish(Committer(committer.index, committer.generation, committer.lease), settings=INDEXED)


def test_too_many_items_come(published: Committer) -> None:
    published.commit([receipt(published, upserts={f"more {n}": Item(n % 8) for n in range(50)})])
    refused(published, r"90 items would take the place of 40, and --gate.max-growth is 2", max_growth=2)
    assert publish(published, settings=PublishSettings(gate=GateSettings(max_growth=2.25))).items == 90


def test_what_the_gate_reads_is_not_kept(committer: Committer) -> None:
    committer.commit([receipt(committer, upserts={f"i{n}": Item(n) for n in range(300)})])
    maintain(committer, INDEXED.upkeep)
    session = committer.datasets[ATTRIBUTE].session()
    before = session.size_bytes()
    Gate(committer.index.uri, committer.datasets, GateSettings()).check(
        changed=None, served_items=0, indexed=list(committer.datasets)
    )
    assert session.size_bytes() == before
    nearest(committer.datasets[ATTRIBUTE], unit(0).astype(np.float32), 10)
    assert session.size_bytes() > before, "a query of one table is"
