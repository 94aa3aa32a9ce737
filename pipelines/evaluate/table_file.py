"""The tables of an evaluation's folder: written at once, and refused where they are something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.data.writing import replacing
from pipelines.errors import DuetError


def save_table(table: pa.Table, path: Path) -> None:
    """Write Parquet, at once."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path, what: str, columns: Sequence[str]) -> pa.Table:
    """A table that `duet evaluate` wrote.

    Args:
        path: of the file.
        what: it is a table of, for the message.
        columns: that it begins with.

    Raises:
        DuetError: it is not there, or something else.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DuetError(f"{path}: not there; `duet evaluate --out {path.parent}` writes it") from None
    except (OSError, pa.ArrowException) as error:
        raise DuetError(f"{path}: cannot be read ({error})") from error
    if not table.schema.names[: len(columns)] == list(columns):
        raise DuetError(f"{path}: not a table of {what}; its columns are {', '.join(table.schema.names)}")
    return table
