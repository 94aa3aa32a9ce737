"""Rows of the text formats, CSV and JSONL: typed by what all rows of the file hold, faults named by row.

Neither format states types, and a reader that guesses them from the first block fails on the second. So a file is
read through once when it is opened (no pictures are in it), and a column gets the narrowest type that fits every row:
int64, float64, bool, list of strings, else string; null where no row has a value.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any
from unicodedata import normalize

import pyarrow as pa

from pipelines.errors import ManifestError

from .files import Source, locate

LINE_LIMIT = 16_000_000  # characters; a longer line is no row of a manifest
_INTEGER = re.compile(r"-?(0|[1-9]\d*)")  # '007' is a code, not a number
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_TYPES = {
    "none": pa.null(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "list": pa.list_(pa.string()),
}


def read_rows(source: Source) -> Iterator[dict[str, Any]]:
    """The rows of a CSV or JSONL file as column -> value (CSV: text; an empty cell is None), one at a time."""
    system, path = locate(source.path)
    try:
        with io.TextIOWrapper(system.open_input_stream(path), encoding="utf-8-sig", newline="") as lines:
            yield from _read_csv(source, lines) if source.kind == "csv" else _read_jsonl(source, lines)
    except UnicodeDecodeError as error:
        raise ManifestError(f"{source.path}: not UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        raise ManifestError(f"{source.path}: cannot be read ({error})") from error


def _read_csv(source: Source, lines: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(LINE_LIMIT)
    reader = csv.reader(lines, strict=True)
    number = 0
    try:
        header = next(reader, None)
        if not header:
            raise ManifestError(f"{source.path}: the file is empty; the first line of a CSV names its columns")
        _check_header(source, header)
        for number, cells in enumerate(reader, 1):
            if not cells:
                continue  # a blank line
            if len(cells) != len(header):
                raise ManifestError(
                    f"{source.path}, row {number}: {len(cells)} cells, but the header names {len(header)} columns"
                )
            yield {name: cell or None for name, cell in zip(header, cells, strict=True)}
    except csv.Error as error:
        raise ManifestError(f"{source.path}, row {number + 1}: not valid CSV ({error})") from error


def _check_header(source: Source, header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ManifestError(f"{source.path}: the header names a column twice: {', '.join(map(repr, twice))}")


def _read_jsonl(source: Source, lines: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    number = 0
    while line := lines.readline(LINE_LIMIT):
        number += 1
        if len(line) == LINE_LIMIT:
            raise ManifestError(f"{source.path}, line {number}: longer than {LINE_LIMIT:,} characters; one row a line")
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ManifestError(f"{source.path}, line {number}: not valid JSON ({error}); one object a line") from error
        except RecursionError as error:
            raise ManifestError(f"{source.path}, line {number}: nested too deep") from error
        if not isinstance(row, dict):
            raise ManifestError(f"{source.path}, line {number}: not a JSON object; write one object a line")
        yield row


def infer_schema(source: Source, texts: Collection[str]) -> tuple[pa.Schema, int]:
    """Schema and number of rows of a CSV or JSONL file, by reading it through.

    Args:
        source: the file.
        texts: columns (names in NFC) whose cells are text, whatever they look like (ids, labels).
    """
    kinds: dict[str, set[str]] = {}
    as_text: dict[str, bool] = {}
    count = 0
    for count, row in enumerate(read_rows(source), 1):
        for name, value in row.items():
            if name not in kinds:
                kinds[name], as_text[name] = set(), normalize("NFC", name) in texts
            seen = kinds[name]
            if value is not None:
                plain = as_text[name] and not isinstance(value, list | dict)
                kind = "text" if plain else _kind_of(value, source, count, name)
                if kind not in seen:
                    seen.add(kind)
                    _resolve(seen, source, count, name)
    if not count:  # a JSONL without a row is a manifest of nothing, not one without columns
        kinds = {name: set() for name in (_header(source) if source.kind == "csv" else ("item_id", "image_uri"))}
    fields = [pa.field(name, _TYPES[_resolve(seen, source, count, name)]) for name, seen in kinds.items()]
    return pa.schema(fields), count


def _header(source: Source) -> list[str]:
    system, path = locate(source.path)
    with io.TextIOWrapper(system.open_input_stream(path), encoding="utf-8-sig", newline="") as lines:
        return next(csv.reader(lines, strict=True), [])


def _kind_of(value: Any, source: Source, row: int, name: str) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if _fits(value) else "float"
    if isinstance(value, float):
        return "float"
    if isinstance(value, list):
        for entry in value:
            if entry is not None and not isinstance(entry, str):
                where = f"{source.path}, row {row}, column {name!r}"
                raise ManifestError(f"{where}: a list may hold text only, not {entry!r}")
        return "list"
    if not isinstance(value, str):
        raise ManifestError(f"{source.path}, row {row}, column {name!r}: {type(value).__name__} is no column's type")
    if source.kind == "jsonl":
        return "text"
    if _INTEGER.fullmatch(value):
        return "int" if len(value) < 32 and _fits(int(value)) else "text"  # as a float, many ids would be one
    if _NUMBER.fullmatch(value):
        return "float"
    return "bool" if value in ("true", "false", "True", "False") else "text"


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _resolve(seen: set[str], source: Source, row: int, name: str) -> str:
    """The narrowest kind that holds all that was seen."""
    if not seen:
        return "none"
    if len(seen) == 1:
        return next(iter(seen))
    if seen == {"int", "float"}:
        return "float"
    if seen == {"text", "list"}:
        return "list"  # a plain string is a list of one
    if source.kind == "csv":
        return "text"
    raise ManifestError(
        f"{source.path}, row {row}, column {name!r}: holds {' and '.join(sorted(seen))}; give the column one type"
    )


def read_batches(source: Source, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """A CSV or JSONL file in batches of `rows` rows, with the columns and types of `schema` (of `infer_schema`)."""
    stream, done = read_rows(source), 0
    while chunk := list(islice(stream, rows)):
        columns = []
        for field in schema:
            try:
                columns.append(pa.array([_convert(row.get(field.name), field.type) for row in chunk], field.type))
            except (UnicodeEncodeError, OverflowError) as error:  # half a character; an integer beyond all floats
                where = f"{source.path}, rows {done + 1} to {done + len(chunk)}, column {field.name!r}"
                raise ManifestError(f"{where}: {error}") from error
        done += len(chunk)
        yield pa.record_batch(columns, schema=schema)


def _convert(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_list(kind):
        return value if isinstance(value, list) else [str(value)]
    if pa.types.is_string(kind):
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, str):
        if pa.types.is_boolean(kind):
            return value.lower() == "true"
        return int(value) if pa.types.is_integer(kind) else float(value)
    return float(value) if pa.types.is_floating(kind) else value
