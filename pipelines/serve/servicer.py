"""The two services: messages in, an engine asked, messages out."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from pipelines.data.images import prepare
from pipelines.errors import RequestError
from pipelines.evaluate.attention import NoAttentionError, look
from pipelines.index.snapshot import Snapshot
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, search_pb2, search_pb2_grpc
from pipelines.search.paging import PageToken
from pipelines.search.planner import page_size
from pipelines.search.query import image_limits

from .batch import in_order
from .calls import Calls, answered, answered_in_turn, status_of
from .catalog_messages import write_item, write_limits, write_snapshot, write_taxonomy
from .engines import Engines
from .explanation_messages import write_attention, write_explanation
from .filter_messages import read_filter
from .messages import read_item_name, read_snapshot_name, snapshot_name
from .search_messages import read_request, write_duet, write_error, write_result

PUBLISHED = "published"
_LISTING = "snapshots"  # stands in a page token where a search has its request's digest


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """``duet.v1.SearchService``."""

    def __init__(self, engines: Engines, calls: Calls) -> None:
        self._engines, self._calls = engines, calls

    @answered
    async def Search(self, request: search_pb2.SearchRequest, context: Any) -> search_pb2.SearchResponse:
        """Rank a snapshot's items."""
        return await self._calls.run(context, functools.partial(self._search, request))

    @answered_in_turn
    async def BatchSearch(
        self, requests: AsyncIterable[search_pb2.BatchSearchRequest], context: Any
    ) -> AsyncIterator[search_pb2.BatchSearchResponse]:
        """Rank a snapshot's items for each request of a stream."""
        self._engines.of()  # raises before there is one: then the batch as a whole is to be tried again

        async def answer(request: search_pb2.BatchSearchRequest) -> search_pb2.BatchSearchResponse:
            try:
                work = functools.partial(self._search, request.search)
                return search_pb2.BatchSearchResponse(response=await self._calls.run(context, work))
            except Exception as error:  # noqa: BLE001 - boundary
                return search_pb2.BatchSearchResponse(error=write_error(status_of(error, "BatchSearch")))

        async for response in in_order(requests, answer, self._engines.limits.batch_searches):
            yield response

    @answered
    async def Explain(self, request: search_pb2.ExplainRequest, context: Any) -> search_pb2.ExplainResponse:
        """Why an item is where it is, and where the encoder looks."""

        def explain(before_stage: Callable[[str], None]) -> search_pb2.ExplainResponse:
            asked = replace(read_request(request.search, self._engines.limits), page_token="")
            engine = self._engines.for_request(asked)
            message = write_explanation(engine.explain(asked, request.item_id))
            if asked.image is not None and not asked.validate_only:
                before_stage("attention")
                checkpoint = engine.checkpoint
                pixels = prepare(asked.image, checkpoint.preparation, image_limits(self._engines.limits))
                with contextlib.suppress(NoAttentionError):
                    seen = look(checkpoint.encoder, pixels)
                    message.attention.extend(write_attention(seen, pixels, request.overlays))
            return message

        return await self._calls.run(context, explain)

    @answered
    async def Embed(self, request: search_pb2.EmbedRequest, context: Any) -> search_pb2.EmbedResponse:
        """Encode a picture."""
        snapshot_id = read_snapshot_name(request.snapshot, "snapshot")

        def embed() -> search_pb2.EmbedResponse:
            engine = self._engines.of(snapshot_id)
            duet, merged = engine.embed(request.image)
            return write_duet(duet, merged, engine.scope.taxonomy, engine.checkpoint.digest)

        return await self._calls.run(context, lambda _: embed())

    def _search(
        self, request: search_pb2.SearchRequest, before_stage: Callable[[str], None]
    ) -> search_pb2.SearchResponse:
        asked = read_request(request, self._engines.limits)
        return write_result(self._engines.for_request(asked).search(asked, before_stage))


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
    async def ListItems(self, request: catalog_pb2.ListItemsRequest, context: Any) -> catalog_pb2.ListItemsResponse:
        """Items by id; all pages are of the first one's snapshot."""
        limits, tokens = self._engines.limits, self._engines.tokens
        size, snapshot_id = page_size(request.page_size, limits), read_snapshot_name(request.snapshot, "snapshot")
        filter_ = read_filter(request.filter, limits) if request.HasField("filter") else None
        digest = hashlib.sha256(repr(("items", snapshot_id, filter_, request.thumbnails)).encode()).hexdigest()

        def find() -> catalog_pb2.ListItemsResponse:
            last = PageToken(snapshot_id, digest, 0)
            if request.page_token:
                last = tokens.read(request.page_token)
                if last.digest != digest:
                    message = "the page token is of another request: everything but page_size must stay as it was"
                    raise RequestError("PAGE_TOKEN_MISMATCH", message, "page_token")
            engine = self._engines.of_page(last) if request.page_token else self._engines.of(snapshot_id)
            items, total = engine.items(filter_, offset=last.offset, count=size, thumbnails=request.thumbnails)
            end, snapshot = last.offset + size, engine.scope.snapshot_id
            return catalog_pb2.ListItemsResponse(
                items=map(write_item, items),
                next_page_token=tokens.issue(PageToken(snapshot, digest, end)) if end < total else "",
                total_items=total,
                snapshot=snapshot_name(snapshot),
            )

        return await self._calls.run(context, lambda _: find())

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
