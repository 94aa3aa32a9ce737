"""Asking an index without a server: the engine in this process, under the client's interface."""

from __future__ import annotations

from typing import Protocol

from model.checkpoint import load_checkpoint
from model.taxonomy import Taxonomy
from pipelines.errors import StoreError
from pipelines.index.store import Index
from pipelines.search.engine import Engine
from pipelines.search.request import SearchRequest
from pipelines.search.result import Item, SearchResult


class Asked(Protocol):
    """What can be asked: a server through `Client`, or an index through `Local`."""

    def search(self, request: SearchRequest) -> SearchResult:
        """One page."""
        ...

    def item(self, item_id: str, snapshot: str = "") -> Item:
        """One item with its thumbnail."""
        ...

    def taxonomy(self, snapshot: str = "") -> Taxonomy:
        """The attributes and classes that a request may name."""
        ...


class Local:
    """One snapshot of an index, for as long as this object lives.

    Args:
        uri: of the index.
        snapshot_id: "" = the published one.

    Raises:
        StoreError: there is no index, nothing published, or no such snapshot.
    """

    def __init__(self, uri: str, snapshot_id: str = "") -> None:
        index = Index.open(uri)
        snapshot = index.snapshot(snapshot_id) if snapshot_id else index.latest()
        if snapshot is None:
            raise StoreError(f"the index {uri} has published nothing yet; run `duet ingest`")
        self._engine = Engine(index.reader(snapshot), load_checkpoint(snapshot.checkpoint_uri))

    def search(self, request: SearchRequest) -> SearchResult:
        """One page."""
        return self._engine.search(request)

    def item(self, item_id: str, snapshot: str = "") -> Item:
        """One item with its thumbnail."""
        return self._engine.item(item_id)

    def taxonomy(self, snapshot: str = "") -> Taxonomy:
        """The attributes and classes that a request may name."""
        return self._engine.scope.taxonomy
