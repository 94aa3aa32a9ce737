"""The items of an evaluation, from where its settings say."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from model.checkpoint import Checkpoint
from pipelines.data.item_store import ItemStore
from pipelines.errors import ManifestError
from pipelines.evaluate.items import open_items


def test_the_items_of_the_split(catalogue: Path, checkpoint: Checkpoint, store: ItemStore, tmp_path: Path) -> None:
    found, split = open_items([str(catalogue)], checkpoint.taxonomy, roots=[], split="test", cache=tmp_path)
    assert split == "test" and found.item_ids == store.item_ids and found.image(3) == store.image(3)


def test_all_items_where_there_are_no_splits(catalogue: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pq.read_table(catalogue).drop(["split"]), whole)
    found, split = open_items([str(whole)], checkpoint.taxonomy, roots=[], split="test", cache=tmp_path / "cache")
    assert split is None and len(found) == 48


def test_faults_are_said(catalogue: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    for path, split, message in (
        (str(catalogue), "holdout", "no item to evaluate in split 'holdout'"),
        (str(tmp_path / "gone.parquet"), "test", "gone.parquet"),
    ):
        with pytest.raises(ManifestError, match=message):
            open_items([path], checkpoint.taxonomy, roots=[], split=split, cache=tmp_path)
