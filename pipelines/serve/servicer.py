"""The two services: messages in, an engine asked, messages out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.errors import RequestError
from pipelines.index.snapshot import Snapshot
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, search_pb2, search_pb2_grpc
from pipelines.search.paging import PageToken
from pipelines.search.planner import page_size

from .calls import Calls, answered
from .catalog_messages import write_item, write_limits, write_snapshot, write_taxonomy
from .engines import Engines
from .messages import read_item_name, read_snapshot_name
from .search_messages import read_request, write_duet, write_result

PUBLISHED = "published"
_LISTING = "snapshots"  # stands in a page token where a search has its request's digest


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """``duet.v1.SearchService``."""

    def __init__(self, engines: Engines, calls: Calls) -> None:
        self._engines, self._calls = engines, calls

    @answered
    async def Search(self, request: search_pb2.SearchRequest, context: Any) -> search_pb2.SearchResponse:
        """Rank a snapshot's items."""

        def search(before_stage: Callable[[str], None]) -> search_pb2.SearchResponse:
            asked = read_request(request, self._engines.limits)
            return write_result(self._engines.for_request(asked).search(asked, before_stage))

        return await self._calls.run(context, search)

    @answered
    async def Embed(self, request: search_pb2.EmbedRequest, context: Any) -> search_pb2.EmbedResponse:
        """Encode a picture."""
        snapshot_id = read_snapshot_name(request.snapshot, "snapshot")

        def embed() -> search_pb2.EmbedResponse:
            engine = self._engines.of(snapshot_id)
            duet, merged = engine.embed(request.image)
            return write_duet(duet, merged, engine.scope.taxonomy, engine.checkpoint.digest)

        return await self._calls.run(context, lambda _: embed())


class CatalogServicer(catalog_pb2_grpc.CatalogServiceServicer):
    """``duet.v1.CatalogService``."""

    def __init__(self, engines: Engines, calls: Calls) -> None:
        self._engines, self._calls = engines, calls

    @answered
    async def GetTaxonomy(
        self, request: catalog_pb2.GetTaxonomyRequest, context: Any
    ) -> catalog_pb2.GetTaxonomyResponse:
        """Attributes, classes and metadata columns of a snapshot."""
        snapshot_id = read_snapshot_name(request.snapshot, "snapshot")
        return await self._calls.run(context, lambda _: write_taxonomy(self._engines.of(snapshot_id).scope))

    @answered
    async def GetItem(self, request: catalog_pb2.GetItemRequest, context: Any) -> catalog_pb2.GetItemResponse:
        """One item with its thumbnail."""
        item_id = read_item_name(request.name, "name")
        snapshot_id = read_snapshot_name(request.snapshot, "snapshot")
        item = await self._calls.run(context, lambda _: self._engines.of(snapshot_id).item(item_id))
        return catalog_pb2.GetItemResponse(item=write_item(item))

    @answered
    async def GetSnapshot(
        self, request: catalog_pb2.GetSnapshotRequest, context: Any
    ) -> catalog_pb2.GetSnapshotResponse:
        """One snapshot, or the published one."""
        snapshot_id = read_snapshot_name(request.name or "?", "name")

        def find() -> Snapshot:
            wanted = self._engines.of().scope.snapshot_id if snapshot_id == PUBLISHED else snapshot_id
            for snapshot in self._engines.index.snapshots():
                if snapshot.snapshot_id == wanted:
                    return snapshot
            raise RequestError("SNAPSHOT_NOT_FOUND", f"there is no snapshot {wanted!r}", "name")

        snapshot = await self._calls.run(context, lambda _: find())
        return catalog_pb2.GetSnapshotResponse(snapshot=write_snapshot(snapshot))

    @answered
    async def ListSnapshots(
        self, request: catalog_pb2.ListSnapshotsRequest, context: Any
    ) -> catalog_pb2.ListSnapshotsResponse:
        """Newest first; a further page goes on where the one before ended, whatever was published since."""
        size, tokens = page_size(request.page_size, self._engines.limits), self._engines.tokens
        last = tokens.read(request.page_token) if request.page_token else None
        if last is not None and last.digest != _LISTING:
            raise RequestError("PAGE_TOKEN_MISMATCH", "the page token is of another method", "page_token")
        snapshots = await self._calls.run(context, lambda _: self._engines.index.snapshots()[::-1])
        older = [one for one in snapshots if last is None or one.snapshot_id < last.snapshot_id]
        response = catalog_pb2.ListSnapshotsResponse(snapshots=map(write_snapshot, older[:size]))
        if len(older) > size:
            response.next_page_token = tokens.issue(PageToken(older[size - 1].snapshot_id, _LISTING, 0))
        return response

    @answered
    async def GetLimits(self, request: catalog_pb2.GetLimitsRequest, context: Any) -> catalog_pb2.GetLimitsResponse:
        """What one request may hold."""
        return catalog_pb2.GetLimitsResponse(limits=write_limits(self._engines.limits))
