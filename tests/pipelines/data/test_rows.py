"""CSV and JSONL: typed by all rows, faults named by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.files import Source, find_sources
from pipelines.data.rows import infer_schema, read_batches
from pipelines.errors import ManifestError


def source(folder: Path, name: str, text: str | bytes) -> Source:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return find_sources([str(path)])[0]


def load(
    file: Source, texts: tuple[str, ...] = ("item_id",), rows: int = 2
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    schema, count = infer_schema(file, texts)
    batches = list(read_batches(file, schema, rows))
    assert [len(batch) for batch in batches[:-1]] == [rows] * (len(batches) - 1)
    found = [row for batch in batches for row in batch.to_pylist()]
    assert len(found) == count
    return {field.name: str(field.type) for field in schema}, found


def test_csv_types_are_those_that_fit_every_row(tmp_path: Path) -> None:
    text = (
        "item_id,whole,half,flag,code,word,none,big\n"
        "007,1,1,true,007,a,,1\n"
        "8,,2.5,,8,1,,99999999999999999999\n"
        "9,-3,1e3,False,9,true,,1\n"
    )
    kinds, rows = load(source(tmp_path, "x.csv", text))
    assert kinds == {
        "item_id": "string", "whole": "int64", "half": "double", "flag": "bool", "code": "string", "word": "string",
        "none": "null", "big": "string",
    }  # fmt: skip
    assert [row["item_id"] for row in rows] == ["007", "8", "9"]
    assert [row["whole"] for row in rows] == [1, None, -3]
    assert [row["half"] for row in rows] == [1.0, 2.5, 1000.0]
    assert [row["flag"] for row in rows] == [True, None, False]
    assert [row["word"] for row in rows] == ["a", "1", "true"]


def test_ids_of_nineteen_digits_are_whole_numbers(tmp_path: Path) -> None:
    cells = ["1234567890123456789", "1234567890123456790", str(2**63 - 1), str(-(2**63))]
    kinds, rows = load(source(tmp_path, "x.csv", "\n".join(["v", *cells])))
    assert kinds == {"v": "int64"} and [str(row["v"]) for row in rows] == cells


def test_an_object_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="dict is no column's type"):
        infer_schema(source(tmp_path, "x.jsonl", '{"v": {"x": 1}}'), ("v",))


def test_columns_that_are_text_are_not_read_as_numbers(tmp_path: Path) -> None:
    cells = ["1.10", "12E4", "007", "True", "1"]
    assert [row["v"] for row in load(source(tmp_path, "x.csv", "\n".join(["v", *cells])), ("v",))[1]] == cells


@pytest.mark.parametrize(("line", "told"), [('{"v": "\\ud800"}', "surrogates"), (f'{{"v": {"9" * 401}}}', "too large")])
def test_values_that_no_column_can_hold_are_named(tmp_path: Path, line: str, told: str) -> None:
    file = source(tmp_path, "x.jsonl", line)
    with pytest.raises(ManifestError, match=rf"x.jsonl, rows 1 to 1, column 'v': .*{told}"):
        load(file)


def test_csv_quotes_newlines_blank_lines_and_byte_order_mark(tmp_path: Path) -> None:
    text = '\ufeffitem_id,"a, b"\r\n1,"x\r\ny ""z"""\r\n\r\n2,é\r\n'
    kinds, rows = load(source(tmp_path, "x.csv", text))
    assert list(kinds) == ["item_id", "a, b"]
    assert [row["a, b"] for row in rows] == ['x\r\ny "z"', "é"]


def test_jsonl_types(tmp_path: Path) -> None:
    lines = [
        {"item_id": 1, "n": 1, "tags": ["a"], "mixed": "one"},
        {"item_id": "b", "n": 2.5, "tags": None, "mixed": ["one", "two"], "late": True},
        {"item_id": 2**70, "tags": []},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n\n"
    kinds, rows = load(source(tmp_path, "x.jsonl", text))
    assert kinds == {
        "item_id": "string", "n": "double", "tags": "list<item: string>", "mixed": "list<item: string>", "late": "bool"
    }  # fmt: skip
    assert [row["item_id"] for row in rows] == ["1", "b", str(2**70)]
    assert [row["mixed"] for row in rows] == [["one"], ["one", "two"], None]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "", "is empty"),
        ("x.csv", "a,b,a\n1,2,3\n", "twice: 'a'"),
        ("x.csv", "a,b\n1,2\n3\n", r"row 2: 1 cells, but the header names 2"),
        ("x.csv", 'a,b\n1,"2\n', r"row 1: not valid CSV"),
        ("x.csv", b"a\n\xff\xfe\n", "UTF-8"),
        ("x.jsonl", '{"a": 1}\n{"a": \n', "line 2: not valid JSON"),
        ("x.jsonl", '{"a": 1}\n[1]\n', "line 2: not a JSON object"),
        ("x.jsonl", '{"a": 1}\n{"a": "b"}\n', "row 2, column 'a': holds int and text"),
        ("x.jsonl", '{"a": {"b": 1}}\n', "row 1, column 'a': dict is no column's type"),
        ("x.jsonl", '{"a": [1]}\n', "row 1, column 'a': a list may hold text only"),
        ("x.jsonl", "[" * 100_000, "line 1: "),
        ("x.jsonl", b'{"a": "\xff"}\n', "UTF-8"),
    ],
)
def test_faults_name_file_and_row(tmp_path: Path, name: str, text: str | bytes, told: str) -> None:
    with pytest.raises(ManifestError, match=told) as caught:
        infer_schema(source(tmp_path, name, text), ("item_id",))
    assert str(tmp_path / name) in str(caught.value)


def test_a_file_without_rows(tmp_path: Path) -> None:
    file = source(tmp_path, "x.csv", "item_id,a\n")
    assert load(file) == ({"item_id": "null", "a": "null"}, [])
    for text in ("\n", ""):
        assert load(source(tmp_path, "x.jsonl", text)) == ({"item_id": "null", "image_uri": "null"}, [])


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from([int, float, bool, str]), data=st.data())
def test_a_jsonl_column_of_one_type_comes_back(
    tmp_path_factory: pytest.TempPathFactory, kind: type, data: st.DataObject
) -> None:
    allowed = {int: st.integers(-(2**63), 2**63 - 1), float: st.floats(allow_nan=False, allow_infinity=False),
               bool: st.booleans(), str: st.text()}[kind]  # fmt: skip
    values = data.draw(st.lists(st.one_of(st.none(), allowed), min_size=1, max_size=8))
    file = source(tmp_path_factory.mktemp("rows"), "x.jsonl", "".join(json.dumps({"v": v}) + "\n" for v in values))
    assert [row["v"] for row in load(file)[1]] == values


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.one_of(st.integers(-(10**17), 10**17), st.floats(-1e9, 1e9), st.text("ab1.-,\"\n'", max_size=4)),
        min_size=1,
        max_size=6,
    )
)
def test_a_csv_cell_is_never_lost(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    cell = [str(value) for value in values]
    text = "item_id,v\n" + "".join(f'{n},"{c.replace(chr(34), chr(34) * 2)}"\n' for n, c in enumerate(cell))
    kinds, rows = load(source(tmp_path_factory.mktemp("rows"), "x.csv", text))
    for want, row in zip(cell, rows, strict=True):
        got = row["v"]
        if kinds["v"] == "string":
            assert (got or "") == want
        elif want:
            assert float(got) == float(want)
