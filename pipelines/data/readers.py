"""One manifest file as record batches, as its format has it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import ManifestError

from .files import Source, locate
from .rows import infer_schema, read_batches

_PAGE_BUFFER = 1 << 20  # bytes; without it a whole column chunk, which may be the whole file, is read at once


def inspect(source: Source, texts: Collection[str]) -> tuple[pa.Schema, int]:
    """Schema and number of rows. A CSV or JSONL is read through, a Parquet's footer suffices.

    Args:
        source: the file.
        texts: columns of a CSV or JSONL that are text, whatever they look like.
    """
    if source.kind != "parquet":
        return infer_schema(source, texts)
    with _open(source) as file:
        return file.schema_arrow, file.metadata.num_rows


def read(source: Source, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """The columns of `schema` in batches of exactly `rows` rows, the last one shorter; memory is that of a batch."""
    if source.kind != "parquet":
        yield from read_batches(source, schema, rows)
        return
    done = 0
    with _open(source) as file:
        try:
            for batch in _regroup(file.iter_batches(batch_size=rows, columns=schema.names), rows):
                yield batch.select(schema.names)
                done += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise ManifestError(f"{source.path}, after row {done}: damaged Parquet file ({error})") from error


def _open(source: Source) -> pq.ParquetFile:
    system, path = locate(source.path)
    try:
        return pq.ParquetFile(system.open_input_file(path), buffer_size=_PAGE_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise ManifestError(f"{source.path}: not a readable Parquet file ({error})") from error


def _regroup(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `rows`."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        while size + batch.num_rows >= rows:
            need = rows - size
            yield _join([*held, batch.slice(0, need)])
            held, size, batch = [], 0, batch.slice(need)
        if batch.num_rows:
            held.append(batch)
            size += batch.num_rows
    if held:
        yield _join(held)


def _join(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
