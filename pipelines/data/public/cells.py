"""A data set's CSV whose first line names its columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.errors import ManifestError

from .journal import Journal
from .lines import numbered


def cells(path: Path, journal: Journal, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(number of its last line, cells of these columns) of every row; cells are stripped, and "" where a row is short.

    Raises:
        ManifestError: the file cannot be read, is no CSV, or its first line lacks one of the columns.
    """
    reader = csv.reader(text for _, text in numbered(path, journal))
    try:
        header = [name.strip() for name in next(reader, [])]
        if not set(columns) <= set(header):
            raise ManifestError(f"{path}: line 1 does not name the columns {', '.join(columns)}")
        places = [header.index(name) for name in columns]
        for row in reader:
            if row:
                yield reader.line_num, tuple(row[place].strip() if place < len(row) else "" for place in places)
    except csv.Error as error:
        raise ManifestError(f"{path}, line {reader.line_num}: not valid CSV ({error})") from error
