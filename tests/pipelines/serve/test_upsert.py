"""Values of upserted items: as they are sent, or refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from model.taxonomy import Attribute, Taxonomy
from pipelines.errors import RequestError
from pipelines.serve.upsert import UpsertedItem, manifest_of

TAXONOMY = Taxonomy((Attribute("collar", ("round", "v-neck")),))
FITTING: list[tuple[pa.DataType, object, object]] = [  # of a column, what is sent, what is kept
    (pa.int64(), 19.0, 19),
    (pa.float64(), 7, 7.0),
    (pa.float32(), 0.1, 0.10000000149011612),
    (pa.decimal128(6, 2), 19.99, Decimal("19.99")),
    (pa.bool_(), True, True),
    (pa.date32(), datetime(2026, 3, 1, tzinfo=UTC), date(2026, 3, 1)),
    (pa.timestamp("us"), datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1)),
]
MISFITS: list[tuple[pa.DataType, object]] = [
    (pa.int64(), 19.99),
    (pa.int64(), float("nan")),
    (pa.int8(), 300),
    (pa.int64(), True),
    (pa.float64(), True),
    (pa.float64(), 2**53 + 1),
    (pa.float32(), 1e300),
    (pa.bool_(), 1),
    (pa.date32(), 5),
    (pa.timestamp("us"), 5),
    (pa.time64("us"), 5),
    (pa.decimal128(6, 2), 19.999),
    (pa.string(), 5),
]


@pytest.mark.parametrize(("kind", "value", "kept"), FITTING, ids=str)
def test_a_value_that_fits_is_kept(kind: pa.DataType, value: Any, kept: object) -> None:
    items = [UpsertedItem("a", b"x", metadata={"c": value})]
    assert manifest_of(items, TAXONOMY, [pa.field("c", kind)])["c"].to_pylist() == [kept]


@pytest.mark.parametrize(("kind", "value"), MISFITS, ids=str)
def test_a_value_that_would_be_altered_is_refused(kind: pa.DataType, value: Any) -> None:
    items = [UpsertedItem("a", b"x", metadata={"c": value})]
    with pytest.raises(RequestError) as raised:
        manifest_of(items, TAXONOMY, [pa.field("c", kind)])
    assert (raised.value.reason, raised.value.field) == ("METADATA_TYPE", "[0].item.metadata[c]")


@pytest.mark.parametrize(
    ("item", "reason", "field"),
    [
        (UpsertedItem("a", b"x", metadata={"gone": 1}), "UNKNOWN_COLUMN", "[1].item.metadata[gone]"),
        (UpsertedItem("a", b"x", labels={"gone": ("x",)}), "UNKNOWN_ATTRIBUTE", "[1].item.labels[0].attribute"),
        (UpsertedItem("a", b"x", labels={"collar": ("gone",)}), "UNKNOWN_CLASS", "[1].item.labels[0].classes"),
    ],
)
def test_what_another_generation_does_not_have_is_refused(item: UpsertedItem, reason: str, field: str) -> None:
    """It was read when another one was served."""
    known = UpsertedItem("b", b"x", metadata={"c": 1}, labels={"collar": ("round",)})
    with pytest.raises(RequestError) as raised:
        manifest_of([known, item], TAXONOMY, [pa.field("c", pa.int64())])
    assert (raised.value.reason, raised.value.field) == (reason, field)
