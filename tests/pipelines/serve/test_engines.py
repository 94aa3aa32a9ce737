"""Engines of a real index, without a server."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from model.checkpoint import Checkpoint, load_checkpoint
from model.manipulation import Operation
from pipelines.errors import RequestError, StoreError
from pipelines.index.reader_lease import ReaderLease, leased_snapshots
from pipelines.index.retention import take_off_the_list
from pipelines.search.engine import Engine
from pipelines.search.limits import Limits
from pipelines.search.request import AttributeCondition, Manipulation, SearchRequest
from pipelines.serve import engines as engines_module
from pipelines.serve.engines import Engines
from pipelines.serve.errors import NotReadyError
from pipelines.serve.observed_engine import ObservedEngine
from pipelines.serve.settings import ServeSettings

from .shop import Shop, item_id, make_checkpoint, make_shop


def engines_of(shop: Shop) -> Engines:
    return Engines(shop.index, ServeSettings(index=shop.index.uri), Limits())


def test_closing_waits_for_the_snapshot_that_is_being_opened(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    loading, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Checkpoint:
        loading.set()
        assert go_on.wait(20)
        return load_checkpoint(*arguments)

    monkeypatch.setattr(engines_module, "load_checkpoint", slow)
    before = set(threading.enumerate())
    engines = engines_of(shop)
    opening, closing = threading.Thread(target=engines.refresh), threading.Thread(target=engines.close)
    opening.start()
    assert loading.wait(20)
    closing.start()
    closing.join(0.3)
    assert closing.is_alive()
    go_on.set()
    opening.join(20)
    closing.join(20)
    assert not {thread.name for thread in set(threading.enumerate()) - before} & {"encoder"}
    with pytest.raises(NotReadyError):
        engines._open(shop.index.snapshots()[0])


def test_a_snapshot_whose_checkpoint_is_gone_is_expired(shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "first"
    first = Shop(make_shop(tmp_path, 0, like=shop).index, make_checkpoint(folder, 1), folder)
    snapshot = first.stock(range(2))
    later = Shop(first.index, shop.checkpoint, shop.checkpoint_folder).stock(range(2))
    engines = engines_of(first)
    assert engines.refresh() and engines.of().scope.snapshot_id == later.snapshot_id
    shutil.rmtree(folder)
    with pytest.raises(RequestError, match=r"cannot be read any more$") as caught:
        engines.of(snapshot.snapshot_id)
    assert (caught.value.reason, caught.value.field) == ("SNAPSHOT_EXPIRED", "snapshot")
    engines.close()


def test_what_searches_need_is_read_before_the_switch(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 3, like=shop)
    engines = engines_of(own)
    engines.refresh()
    collar = AttributeCondition("collar", ("polo", "v-neck", "round"))
    change = Manipulation("colour", Operation.REPLACE, "red")
    request = SearchRequest(item_id=item_id(1), attributes=(collar,), manipulations=(change,))
    engines.of().search(request)
    needed = {tuple(rest) for _, *rest in engines.cache.residents()}
    assert ("global",) in needed and len(needed) > 3
    later = own.stock([10])
    engines.refresh()
    read = {tuple(rest) for snapshot_id, *rest in engines.cache.residents() if snapshot_id == later.snapshot_id}
    assert read == needed
    assert engines.of().search(request).total_candidates == 3
    engines.close()


def test_the_next_snapshot_stays_open_while_it_is_warmed(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, warm = make_shop(tmp_path, 3, like=shop), ObservedEngine.warm
    engines = engines_of(own)
    engines.refresh()
    engines.of().search(SearchRequest(item_id=item_id(1)))
    asked = [own.stock([10]).snapshot_id, own.stock([11]).snapshot_id]
    later = Shop(own.index, make_checkpoint(tmp_path / "other", 1), tmp_path / "other").stock([0, 1, 2, 10, 11])

    def meanwhile(engine: ObservedEngine, like: Engine | None = None) -> None:
        warm(engine, like)
        engine.search(SearchRequest(item_id=item_id(1)))  # reads embeddings into memory
        for snapshot_id in asked:
            engines.of(snapshot_id)

    monkeypatch.setattr(ObservedEngine, "warm", meanwhile)
    assert engines.refresh()
    assert engines.of().scope.snapshot_id == later.snapshot_id
    assert later.snapshot_id in leased_snapshots(own.index.uri)
    assert later.snapshot_id in {snapshot_id for snapshot_id, *_ in engines.cache.residents()}
    assert later.model_digest in engines._models, "its encoder goes on"
    engines.close()


def test_embeddings_of_snapshots_that_are_open_no_more_leave_memory(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 4, like=shop)
    engines = engines_of(own)
    try:
        for number in range(6):
            own.stock([100 + number])
            engines.refresh()
            engines.of().search(SearchRequest(item_id=item_id(1)))
        open_now = {snapshot.snapshot_id for snapshot in own.index.snapshots()[-3:]}
        assert {snapshot_id for snapshot_id, *_ in engines.cache.residents()} == open_now
    finally:
        engines.close()


def test_what_is_open_is_leased_until_it_is_closed(shop: Shop, tmp_path: Path) -> None:
    own = make_shop(tmp_path, 3, like=shop)
    engines = engines_of(own)
    opened = []
    for number in range(5):
        engines.refresh()
        opened.append(engines.of().scope.snapshot_id)
        assert leased_snapshots(own.index.uri) == set(opened[-3:])
        own.stock([10 + number])
    engines.close()
    assert leased_snapshots(own.index.uri) == set()


def test_a_snapshot_that_is_retired_while_it_is_opened_is_not_served(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_shop(tmp_path, 3, like=shop)
    engines, hold = engines_of(own), ReaderLease.hold

    def retired_first(lease: ReaderLease, snapshot_ids: Iterable[str]) -> None:
        monkeypatch.setattr(ReaderLease, "hold", hold)
        own.stock([11])
        take_off_the_list(own.index, ["s00000001"])
        hold(lease, snapshot_ids)

    monkeypatch.setattr(ReaderLease, "hold", retired_first)
    with pytest.raises(StoreError, match="has no snapshot 's00000001'"):
        engines.refresh()
    assert leased_snapshots(own.index.uri) == set()
    assert engines.refresh() and engines.of().scope.snapshot_id == "s00000002"
    engines.close()
