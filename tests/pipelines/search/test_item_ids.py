"""Items are found by their ids, also where two ids have one hash."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipelines.errors import StoreError
from pipelines.search import item_ids as module
from pipelines.search.item_ids import ItemIds

IDS = ["b", "it's", "a10", "ü", "a9", ""]


@pytest.mark.parametrize("alike", [False, True])
def test_an_item_is_found_by_its_id(monkeypatch: pytest.MonkeyPatch, alike: bool) -> None:
    if alike:
        monkeypatch.setattr(module, "hash", lambda text: len(text) // 2, raising=False)
    ids = ItemIds(pa.array(IDS))
    assert [ids.find(item_id) for item_id in IDS] == list(range(len(IDS))) and len(ids) == len(IDS)
    assert [ids.find(stranger) for stranger in ("nobody", "B", "a1", "\x01mark")] == [None] * 4
    assert ids.at(np.array([2, 0])) == ["a10", "b"] and ItemIds(pa.array([], pa.string())).find("b") is None


def test_a_tables_ids_are_located_once_each() -> None:
    ids = ItemIds(pa.array(IDS))
    assert ids.locate(pa.chunked_array([["ü"], ["b"]]), "t").tolist() == [3, 0]
    for wrong in (["b", "b"], ["b", "nobody"], ["b", None]):
        with pytest.raises(StoreError, match="table t"):
            ids.locate(pa.chunked_array([pa.array(wrong, pa.string())]), "t")


def test_ids_are_ranked() -> None:
    assert [IDS[n] for n in np.argsort(ItemIds(pa.array(IDS)).ranks)] == sorted(IDS)
