"""Lance datasets by address: open, create, write fragments. The only place that knows Lance's errors for these."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lance import Session  # type: ignore[attr-defined]  # exported, but not marked so
from lance.fragment import FragmentMetadata, write_fragments

from cluster.errors import first_line
from pipelines.errors import StoreError

Fragments = tuple[str, ...]  # descriptions of fragments that belong to no version yet, JSON
Result = TypeVar("Result")

_BESIDE = 8  # tables at once
_INDEX_CACHE_BYTES = 64 * 1024**2
_METADATA_CACHE_BYTES = 8 * 1024**2


def small_caches() -> Session:
    """Caches of indices and of descriptions of files, for all datasets opened with them; Lance's own hold 7 GiB."""
    return Session(index_cache_size_bytes=_INDEX_CACHE_BYTES, metadata_cache_size_bytes=_METADATA_CACHE_BYTES)


def open_dataset(uri: str, version: int | None = None, session: Session | None = None) -> lance.LanceDataset:
    """Open a dataset at a version (None = its latest).

    Raises:
        StoreError: there is none, or not this version of it.
    """
    try:
        return lance.dataset(uri, version=version, session=session)
    except (ValueError, OSError) as error:
        at = "" if version is None else f" at version {version}"
        raise StoreError(f"table {uri}{at} cannot be opened: {first_line(error)}") from error


def dataset_exists(uri: str) -> bool:
    """Whether there is a dataset. Raises `StoreError` if its place cannot be reached."""
    try:
        lance.dataset(uri)
    except ValueError as error:
        if "not found" in str(error):
            return False
        raise StoreError(f"{uri} cannot be opened: {first_line(error)}") from error
    except OSError as error:
        raise StoreError(f"{uri} cannot be reached: {first_line(error)}") from error
    return True


def create_dataset(uri: str, rows: pa.Table) -> None:
    """Create a dataset with its first rows; one that is there already is left as it is.

    Raises:
        StoreError: it cannot be written there.
    """
    if dataset_exists(uri):
        return
    try:
        lance.write_dataset(rows, uri, mode="create")
    except OSError as error:
        if not dataset_exists(uri):  # else another process was faster
            raise StoreError(f"{uri} cannot be written: {first_line(error)}") from error


def drop_dataset(uri: str) -> None:
    """Remove a dataset, or what a removal that was killed has left of one; none that is not there."""
    try:
        lance.LanceDataset.drop(uri, ignore_not_found=True)
    except ValueError:  # a folder without a version, of which Lance does not believe that it is a dataset's
        lance.write_dataset(pa.table({"left": pa.array([], pa.int8())}), uri, mode="create")
        lance.LanceDataset.drop(uri)


def write_rows(dataset: lance.LanceDataset, rows: pa.Table) -> Fragments:
    """Write rows as fragments that belong to no version yet -> their descriptions (JSON), for a `Receipt`."""
    if rows.num_rows == 0:
        return ()
    return tuple(json.dumps(f.to_json()) for f in write_fragments(rows, dataset, schema=dataset.schema))


def write_tables(datasets: Mapping[str, lance.LanceDataset], tables: Mapping[str, pa.Table]) -> dict[str, Fragments]:
    """`write_rows` of several tables, beside each other -> their descriptions, by table."""
    written = beside(lambda table: write_rows(datasets[table], tables[table]), list(tables))
    return dict(zip(tables, written, strict=True))


def beside(run: Callable[[str], Result], tables: Sequence[str], at_once: int = _BESIDE) -> list[Result]:
    """Do something with several tables at once.

    Raises:
        BaseException: the first table's that failed, when all that were begun have ended.
    """
    with ThreadPoolExecutor(at_once, "tables") as pool:
        futures = [pool.submit(run, table) for table in tables]
        try:
            return [future.result() for future in futures]
        finally:  # after an interrupt, too
            pool.shutdown(cancel_futures=True)


def keep_version(dataset: lance.LanceDataset, tag: str) -> None:
    """Tag the version that is open. Tags say their version, so none is ever moved, and one that is there stays.

    Lance looks for one tag by its name; a list of all reads each of them, in as many threads as there are.
    """
    try:
        dataset.tags.get_version(tag)
    except ValueError:
        dataset.tags.create(tag, dataset.version)


def let_go(dataset: lance.LanceDataset, tag: str) -> None:
    """Take a tag away, if it is still there: whoever takes an index over takes away what its predecessor tagged."""
    with suppress(ValueError):
        dataset.tags.delete(tag)


def read_fragments(descriptions: Sequence[str]) -> list[FragmentMetadata]:
    """What `write_rows` described, for a commit."""
    return [FragmentMetadata.from_json(text) for text in descriptions]


def delete_rows(dataset: lance.LanceDataset, gone: pc.Expression) -> tuple[list[int], list[FragmentMetadata]]:
    """Take rows out, by deletion vectors that belong to no version yet.

    Args:
        dataset: the table, at the version that is read.
        gone: filter of those rows; ids are compared as values (`is_one_of`), never as text of a query.

    Returns:
        ids of the fragments that keep no row, and the others that lose rows.
    """
    found = dataset.scanner(columns=[], filter=gone, with_row_address=True).to_table()["_rowaddr"].to_numpy()
    fragments, offsets = found >> np.uint64(32), found & np.uint64(0xFFFFFFFF)
    removed, updated = [], []
    for number in np.unique(fragments).tolist():
        fragment = dataset.get_fragment(number)
        assert fragment is not None
        rest = fragment.delete_rows(offsets[fragments == number].tolist())
        if rest is None:
            removed.append(number)
        else:
            updated.append(rest)
    return removed, updated
