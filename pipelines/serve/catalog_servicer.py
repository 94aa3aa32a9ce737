"""CatalogService: what the catalogue has, and changes of it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable
from typing import Any

from pipelines.errors import RequestError
from pipelines.index.requests import Request
from pipelines.index.snapshot import Snapshot
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc
from pipelines.search.limits import Limits, check_count, read_name
from pipelines.search.paging import PageToken
from pipelines.search.planner import page_size, read_item_id

from .calls import Calls, answered
from .catalog_messages import write_item, write_limits, write_snapshot, write_taxonomy
from .changes import Changes
from .engines import Engines
from .filter_messages import read_filter
from .messages import read_item_name, read_snapshot_name, snapshot_name
from .pictures import Pictures
from .upsert_stream import read_stream
from .writer import Writer

PUBLISHED = "published"
_LISTING = "snapshots"  # stands in a page token where a search has its request's digest


class CatalogServicer(catalog_pb2_grpc.CatalogServiceServicer):
    """``duet.v1.CatalogService``."""

    def __init__(
        self, engines: Engines, calls: Calls, writes: Calls, changes: Changes, pictures: Pictures, writer: Writer
    ) -> None:
        self._engines, self._calls, self._writes, self._changes = engines, calls, writes, changes
        self._pictures, self._writer = pictures, writer

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
    async def UpsertItems(
        self, requests: AsyncIterable[catalog_pb2.UpsertItemsRequest], context: Any
    ) -> catalog_pb2.UpsertItemsResponse:
        """Put the items of a stream in, all together."""
        async with self._changes.stream(requests) as coming:
            given = await read_stream(coming, self._engines.of().scope, self._engines.limits, self._pictures)
            return await self._writes.run(
                context, lambda _: self._writer.upsert(given.items, given.request, given.fault)
            )

    @answered
    async def DeleteItems(
        self, request: catalog_pb2.DeleteItemsRequest, context: Any
    ) -> catalog_pb2.DeleteItemsResponse:
        """Take items out."""
        self._engines.of()  # raises before there is one, when items would go and the answer be NOT_READY
        limits = self._engines.limits
        check_count(len(request.item_ids), limits.changed_items, "item_ids")
        asks = _read_request(request, limits)
        ids = [read_item_id(text, limits, f"item_ids[{n}]") for n, text in enumerate(request.item_ids)]
        if not ids:
            raise RequestError("ITEMS_REQUIRED", "no items are named", "item_ids")
        with self._changes.admitted():
            return await self._writes.run(context, lambda _: self._writer.delete(sorted(set(ids)), asks))

    @answered
    async def PublishSnapshot(
        self, request: catalog_pb2.PublishSnapshotRequest, context: Any
    ) -> catalog_pb2.PublishSnapshotResponse:
        """Serve an earlier snapshot again, or publish what is committed."""
        snapshot_id = read_snapshot_name(request.snapshot, "snapshot")
        asks = _read_request(request, self._engines.limits)
        with self._changes.admitted():
            return await self._writes.run(context, lambda _: self._writer.publish(snapshot_id, asks))

    @answered
    async def GetLimits(self, request: catalog_pb2.GetLimitsRequest, context: Any) -> catalog_pb2.GetLimitsResponse:
        """What one request may hold."""
        return catalog_pb2.GetLimitsResponse(limits=write_limits(self._engines.limits))


def _read_request(request: Any, limits: Limits) -> Request:
    """The digest is of all that is said but the id; and of the method, since two methods' may be the same bytes."""
    plain = type(request)()
    plain.CopyFrom(request)
    plain.ClearField("request_id")
    kind = request.DESCRIPTOR.full_name.encode()
    digest = hashlib.sha256(kind + plain.SerializeToString(deterministic=True)).hexdigest()
    return Request(read_name(request.request_id, limits, "request_id"), digest)
