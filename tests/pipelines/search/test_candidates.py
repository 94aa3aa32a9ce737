from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import StoreError
from pipelines.search.candidates import Candidates
from pipelines.search.filters import Comparison, Kind, Operator, kind_of
from pipelines.search.matrices import MatrixCache

from .world import TAXONOMY, MemoryReader, make_world


def candidates(reader: MemoryReader) -> Candidates:
    return Candidates(reader, MatrixCache(10**9))


def test_who_carries_what() -> None:
    world = make_world(1, 12)
    found = candidates(world.reader())
    for m in range(TAXONOMY.class_count):
        assert found.carry(m).tolist() == world.carried[:, m].tolist()
    for i in range(12):
        carried = {m: p for n in range(3) for m, p in found.carried_by(n, i).items()}
        assert carried == {m: world.probabilities[i, m] for m in range(9) if world.carried[i, m]}


def test_nanoseconds_and_an_index_without_metadata() -> None:
    world = make_world(2, 3)
    reader = world.reader()
    items = reader.tables["items"]
    moment = pa.array([None, *[1_700_000_000_123_456_789] * 3], pa.timestamp("ns"))
    structs = pa.StructArray.from_arrays([moment], names=["added"])
    at = items.column_names.index("metadata")
    reader.tables["items"] = items.set_column(at, "metadata", structs)
    moments = {row["added"].replace(tzinfo=UTC) for row in candidates(reader).facts(np.arange(3))[2]}
    assert moments == {datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)}
    reader.tables["items"] = items.set_column(at, "metadata", pa.array([{}] * 4, pa.struct([])))
    assert candidates(reader).facts(np.arange(3))[2] == [{}] * 3


@pytest.mark.slow
def test_more_text_than_offsets_of_32_bits_reach() -> None:
    count, long = 33, "x" * 2**26
    reader = make_world(2, count).reader()
    items = reader.tables["items"]
    every, last = (pa.array([{"brand": text}]) for text in (long, "the last"))
    at = items.column_names.index("metadata")
    metadata = pa.chunked_array([*[every] * count, last])
    reader.tables["items"] = items.set_column(at, pa.field("metadata", metadata.type), metadata)
    found = candidates(reader)
    assert found.facts(np.array([count - 1]))[2] == [{"brand": "the last"}]
    assert kind_of(found.metadata.schema.field("brand").type) is Kind.STRING
    mask = found.allowed(Comparison("brand", Operator.EQUAL, "the last"), [], None)
    assert np.flatnonzero(mask).tolist() == [count - 1]


@pytest.mark.parametrize("change", ["twice", "stranger", "class"])
def test_damage_is_noticed(change: str) -> None:
    reader = make_world(3, 5).reader()
    rows = reader.tables["attribute-collar"].to_pylist()
    live = [row for row in rows if row["item_id"] >= " "]
    if change == "twice":
        live[1]["item_id"] = live[0]["item_id"]
    elif change == "stranger":
        live[1]["item_id"] = "nobody"
    else:
        live[1]["classes"] = ["mao"]
    reader.tables["attribute-collar"] = pa.Table.from_pylist(rows, schema=reader.tables["attribute-collar"].schema)
    with pytest.raises(StoreError):
        candidates(reader).carry(0)
