"""The Parquet files of ids and names that say how a data set is to be evaluated: its triplets, its roles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import ManifestError


def read_text_table(path: Path, what: str, columns: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """Columns of text, those that are optional only where the file has them; others are left out.

    Args:
        path: of the file.
        what: it is, for the message.
        columns: that it must have, without an empty cell.
        optional: that it may have.

    Raises:
        ManifestError: no such file, no Parquet, a column is missing, or a cell is empty or no text.
    """
    try:
        table = pq.read_table(path)
        missing = [name for name in columns if name not in table.schema.names]
        if missing:
            raise ManifestError(f"{path}: {what} has the columns {', '.join(columns)}; {missing[0]!r} is missing")
        keep = [*columns, *(name for name in optional if name in table.schema.names)]
        table = table.select(keep).cast(pa.schema([(name, pa.string()) for name in keep]))
    except FileNotFoundError:
        raise ManifestError(f"{path}: not there") from None
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{path}: cannot be read as {what} ({error})") from error
    for name in columns:
        if table[name].null_count:
            raise ManifestError(f"{path}: {table[name].null_count:,} rows have no {name!r}")
    return table
