"""Rows of messages, each by itself: it fits the manifest of any batch that it may be in, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.data.manifest import Manifest
from pipelines.errors import ManifestError
from pipelines.ingest.fields import Fields
from pipelines.ingest.message import key_id, row_id, value_row

KNOWN = {"price": [pa.int64()], "weight": [pa.float64()], "brand": [pa.string()], "sold": [pa.bool_()]}
KNOWN |= {"since": [pa.timestamp("us")], "until": [pa.timestamp("us", "Europe/Berlin")], "day": [pa.date32()]}


def fields() -> Fields:
    return Fields(KNOWN, ["collar"], ["collar"])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"price": 19.99}, "field 'price': 19.99 does not fit a column of int64"),
        ({"price": "cheap"}, "field 'price': 'cheap' does not fit a column of int64"),
        ({"price": {"amount": 5}}, "field 'price': is dict"),
        ({"price": [1]}, "field 'price': is list"),
        ({"note": {"nested": 5}}, "field 'note': is dict"),
        ({"tags": [1, 2]}, "field 'tags': is no list of text"),
        ({"image_uri": 5}, "field 'image_uri': is int; it must be text"),
        ({"split": []}, "field 'split': is list; it must be text"),
        ({"collar": 5}, "field 'collar': is no list of text"),
        ({"collar": ["v-neck", {}]}, "field 'collar': is no list of text"),
        ({"image": "AAAA"}, "field 'image': a picture is not sent"),
        ({"since": 1719878400 * 10**9}, "field 'since': 1719878400000000000 does not fit a column of timestamp[us]"),
        ({"since": "0000-01-01"}, "field 'since': '0000-01-01' does not fit a column of timestamp[us]"),
        ({"until": "9999-12-31T23:59:59Z"}, "field 'until': '9999-12-31T23:59:59Z' does not fit a column of timestamp"),
        ({"day": "0000-01-01"}, "field 'day': '0000-01-01' does not fit a column of date32[day]"),
        ({"": 5}, "field ''"),
        ({"brand": "\ud800"}, "field 'brand'"),
        ({"e\u0301": 1, "é": 2}, "field 'é': is there twice"),
    ],
)
def test_what_fits_no_manifest_is_refused_by_name(row: dict[str, Any], told: str) -> None:
    with pytest.raises(ManifestError) as caught:
        fields().line("a", row)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    "rows",
    [
        [{"price": 20}, {"price": None}, {"weight": 3}, {"weight": 0.5}],
        [{"new": 1}, {"new": 2.5}, {"new": 2}],
        [{"new": "text"}, {"other": True}],
        [{"collar": "v-neck"}, {"collar": ["v-neck", "round"]}, {}],
        [{"weight": 2**70}, {"weight": -1}],
        [{}],
    ],
)
def test_what_fits_is_a_manifest(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    batch = fields()
    lines = [batch.line(f"item {number}", row) for number, row in enumerate(rows)]
    path = tmp_path / "batch.jsonl"
    path.write_text("\n".join([*lines, batch.refused("refused")]), encoding="utf-8")
    manifest = Manifest.open([str(path)], roots=[str(tmp_path)], attributes=["collar"])
    assert manifest.count() == len(rows) + 1
    read = [row for part in manifest.batches(8) for row in part.to_pylist()]
    for row, given in zip(read, rows, strict=False):
        for name, value in given.items():
            wanted = [value] if name == "collar" and isinstance(value, str) else value
            assert row[name] == wanted, "nothing is lost on the way"


def test_a_refused_row_decides_no_type() -> None:
    batch = fields()
    with pytest.raises(ManifestError):
        batch.line("a", {"new": "text", "price": 1.5})
    assert json.loads(batch.line("b", {"new": 5}))["new"] == 5
    with pytest.raises(ManifestError, match="field 'new'"):
        batch.line("c", {"new": "text"})


@pytest.mark.parametrize(
    ("key", "told"), [(b"", "key"), (b"x" * 513, "key"), (b"a\x00b", "key"), (b"\xe9", "key: not")]
)
def test_keys_that_are_no_ids(key: bytes, told: str) -> None:
    with pytest.raises(ManifestError, match=told):
        key_id(key)


@pytest.mark.parametrize("row", [{}, {"item_id": True}, {"item_id": [1]}, {"item_id": ""}, {"item_id": "x" * 513}])
def test_rows_without_an_id(row: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="field 'item_id'"):
        row_id(row)
    assert row_id({"item_id": 7}) == "7"


@pytest.mark.parametrize("value", [None, b"", b"{ no JSON", b"[1]", b"\xff", b"[" * 100_000])
def test_values_that_are_no_rows(value: bytes | None) -> None:
    with pytest.raises(ManifestError, match="value: "):
        value_row(value)
