"""A client in Python: requests and results as the engine's own dataclasses.

with Client("127.0.0.1:50051") as client:
    for hit in client.search(item_id="dress-7", attributes=(AttributeCondition("collar"),)).hits:
        print(hit.rank, hit.item_id, hit.score)
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

import grpc

from model.taxonomy import Taxonomy
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, search_pb2, search_pb2_grpc
from pipelines.search.filters import Filter
from pipelines.search.limits import Limits
from pipelines.search.request import SearchRequest
from pipelines.search.result import Item, SearchResult

from .catalog_messages import read_item, read_limits, read_taxonomy
from .errors import ServiceError, from_rpc_error
from .filter_messages import write_filter
from .messages import item_name, read_snapshot_name, snapshot_name
from .search_messages import read_batch_response, read_result, write_request
from .security.credentials import Credentials

T = TypeVar("T")

# Only what was never begun is asked again: UNAVAILABLE says so, a passed deadline does not.
_RETRY = {
    "methodConfig": [
        {
            "name": [{"service": "duet.v1.SearchService"}, {"service": "duet.v1.CatalogService"}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.3s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class Client:
    """Asks a server; threads may share one. What the server refuses is raised as `ServiceError`.

    Args:
        target: ``host:port``.
        timeout: seconds that a call may take, with its retries.
        credentials: for a server with TLS or tokens: ``Credentials.read(ca=…, token_file=…)``.

    Raises:
        DuetError: the credentials have a token, and the connection would carry it in clear to another machine.
    """

    def __init__(self, target: str, timeout: float = 30.0, credentials: Credentials | None = None) -> None:
        self.timeout = timeout
        self._channel = (credentials or Credentials()).channel(
            target,
            options=[
                ("grpc.service_config", json.dumps(_RETRY)),
                ("grpc.max_receive_message_length", -1),
            ],
        )
        self._search = search_pb2_grpc.SearchServiceStub(self._channel)
        self._catalog = catalog_pb2_grpc.CatalogServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def search(self, request: SearchRequest | None = None, **fields: Any) -> SearchResult:
        """One page. The request, or its fields by name."""
        request = SearchRequest(**fields) if request is None else replace(request, **fields)
        return read_result(self._call(self._search.Search, write_request(request)))

    def pages(self, request: SearchRequest) -> Iterator[SearchResult]:
        """All pages, all of one snapshot."""
        while True:
            result = self.search(request)
            yield result
            if not result.next_page_token:
                return
            request = replace(request, page_token=result.next_page_token)

    def batch(self, requests: Iterable[SearchRequest]) -> Iterator[SearchResult | ServiceError]:
        """An answer to each of many requests, in their order; requests are taken as answers come.

        Raises:
            ServiceError: the whole batch failed. What one request failed by is yielded in its place.
        """
        messages = (search_pb2.BatchSearchRequest(search=write_request(request)) for request in requests)
        try:
            for message in self._search.BatchSearch(messages):
                yield read_batch_response(message)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error

    def explain(
        self, request: SearchRequest, item_id: str = "", *, overlays: bool = False
    ) -> search_pb2.ExplainResponse:
        """Why an item is where it is in the answer to a request, and where the encoder looks, as the message."""
        message = search_pb2.ExplainRequest(search=write_request(request), item_id=item_id, overlays=overlays)
        return self._call(self._search.Explain, message)

    def embed(self, image: bytes, snapshot: str = "") -> search_pb2.EmbedResponse:
        """The duet of a picture, as the message."""
        request = search_pb2.EmbedRequest(image=image, snapshot=snapshot_name(snapshot) if snapshot else "")
        return self._call(self._search.Embed, request)

    def item(self, item_id: str, snapshot: str = "") -> Item:
        """One item with its thumbnail."""
        name = snapshot_name(snapshot) if snapshot else ""
        request = catalog_pb2.GetItemRequest(name=item_name(item_id), snapshot=name)
        return read_item(self._call(self._catalog.GetItem, request).item)

    def items(
        self, filter_: Filter | None = None, *, snapshot: str = "", thumbnails: bool = False, page_size: int = 100
    ) -> Iterator[Item]:
        """All items that pass a filter, by id, all of one snapshot."""
        request = catalog_pb2.ListItemsRequest(
            page_size=page_size,
            snapshot=snapshot_name(snapshot) if snapshot else "",
            filter=None if filter_ is None else write_filter(filter_),
            thumbnails=thumbnails,
        )
        while True:
            page = self._call(self._catalog.ListItems, request)
            yield from map(read_item, page.items)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def upsert(
        self, items: Iterable[catalog_pb2.UpsertItem], request_id: str | None = None
    ) -> catalog_pb2.UpsertItemsResponse:
        """Put items in; the next search of this server sees them.

        Args:
            items: as messages; all are committed together.
            request_id: None = a new one. A call that failed may be made again with its own.
        """
        request_id = uuid.uuid4().hex if request_id is None else request_id
        messages = [
            catalog_pb2.UpsertItemsRequest(request_id=request_id if n == 0 else "", item=item)
            for n, item in enumerate(items)
        ]
        return self._call(self._catalog.UpsertItems, iter(messages))

    def delete(self, item_ids: Iterable[str], request_id: str | None = None) -> catalog_pb2.DeleteItemsResponse:
        """Take items out; the next search of this server does not see them. See `upsert`."""
        request_id = uuid.uuid4().hex if request_id is None else request_id
        return self._call(
            self._catalog.DeleteItems, catalog_pb2.DeleteItemsRequest(request_id=request_id, item_ids=item_ids)
        )

    def publish(self, snapshot: str = "", request_id: str | None = None) -> str:
        """Serve an earlier snapshot again, or publish what is committed (""); the id of the new snapshot."""
        request_id = uuid.uuid4().hex if request_id is None else request_id
        name = snapshot_name(snapshot) if snapshot else ""
        request = catalog_pb2.PublishSnapshotRequest(request_id=request_id, snapshot=name)
        return read_snapshot_name(self._call(self._catalog.PublishSnapshot, request).snapshot.name, "snapshot")

    def taxonomy(self, snapshot: str = "") -> Taxonomy:
        """The attributes and classes that a request may name."""
        request = catalog_pb2.GetTaxonomyRequest(snapshot=snapshot_name(snapshot) if snapshot else "")
        return read_taxonomy(self._call(self._catalog.GetTaxonomy, request))

    def limits(self) -> Limits:
        """What a request may hold."""
        return read_limits(self._call(self._catalog.GetLimits, catalog_pb2.GetLimitsRequest()).limits)

    def published(self) -> str:
        """Id of the published snapshot."""
        request = catalog_pb2.GetSnapshotRequest(name=snapshot_name("published"))
        return read_snapshot_name(self._call(self._catalog.GetSnapshot, request).snapshot.name, "name")

    def _call(self, method: Callable[..., T], request: object) -> T:
        try:
            return method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
