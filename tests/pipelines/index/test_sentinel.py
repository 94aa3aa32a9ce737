from __future__ import annotations

from pathlib import Path

import lance
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lance.commit import CommitConflictError

from pipelines.index.committer import delete_rows
from pipelines.index.datasets import create_dataset, read_fragments, write_rows
from pipelines.index.schema import LIVE, attribute_schema
from pipelines.index.sentinel import FIRST_MARK, IS_SENTINEL, mark_sequence, new_mark, read_mark, sentinel_row

SCHEMA = attribute_schema(4)


def rows(*item_ids: str) -> pa.Table:
    return pa.Table.from_pylist([{"item_id": i, "embedding": [1, 2, 3, 4]} for i in item_ids], schema=SCHEMA)


def commit(dataset: lance.LanceDataset, new: pa.Table, mark: str | None) -> lance.LanceDataset:
    """Add rows to what `dataset` is; with the sentinel only if there is a mark."""
    removed, updated = delete_rows(dataset, IS_SENTINEL) if mark else ([], [])
    fragments = write_rows(dataset, new) + (write_rows(dataset, sentinel_row(SCHEMA, mark)) if mark else ())
    operation = lance.LanceOperation.Update(
        removed_fragment_ids=removed, updated_fragments=updated, new_fragments=read_fragments(fragments)
    )
    return lance.LanceDataset.commit(dataset, operation, read_version=dataset.version)


@pytest.fixture
def table(tmp_path: Path) -> lance.LanceDataset:
    uri = str(tmp_path / "table.lance")
    create_dataset(uri, sentinel_row(SCHEMA, FIRST_MARK))
    return lance.dataset(uri)


def test_two_commits_of_the_same_new_id_collide(table: lance.LanceDataset) -> None:
    first = commit(table, rows("a"), new_mark(1))
    with pytest.raises(CommitConflictError):
        commit(table, rows("a"), new_mark(1))
    assert lance.dataset(table.uri).count_rows() == first.count_rows() == 2


def test_without_the_sentinel_they_would_double_the_row(table: lance.LanceDataset) -> None:
    """Why there is one: Lance merges commits that touch different rows. If this fails, Lance has changed."""
    commit(table, rows("a"), None)
    commit(table, rows("a"), None)
    assert lance.dataset(table.uri).count_rows(filter="item_id = 'a'") == 2


def test_the_mark_is_read_back_and_replaced(table: lance.LanceDataset) -> None:
    assert read_mark(table) == FIRST_MARK
    mark = new_mark(7)
    later = commit(table, rows("a", "b"), mark)
    assert read_mark(later) == mark
    assert mark_sequence(mark) == 7
    assert later.to_table(filter=LIVE).num_rows == 2


def test_a_vector_search_never_finds_it(table: lance.LanceDataset) -> None:
    later = commit(table, rows("a"), new_mark(1))
    query = pa.array([1, 2, 3, 4], pa.float16())
    found = later.to_table(nearest={"column": "embedding", "q": query, "k": 10})
    assert found["item_id"].to_pylist() == ["a"]


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1))
def test_every_id_sorts_behind_it(item_id: str) -> None:
    ids = pa.table({"item_id": [item_id, sentinel_row(SCHEMA, new_mark(1))["item_id"][0].as_py()]})
    assert ids.filter(LIVE)["item_id"].to_pylist() == [item_id]
    assert ids.filter(IS_SENTINEL).num_rows == 1
