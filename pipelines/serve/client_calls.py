"""What clients ask: each call as the message that is sent and the way its answer is read. `Client` and `AsyncClient`
send them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc

from model.taxonomy import Taxonomy
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, search_pb2, search_pb2_grpc
from pipelines.search.filters import Filter
from pipelines.search.limits import Limits
from pipelines.search.request import SearchRequest
from pipelines.search.result import Item, SearchResult

from .catalog_messages import read_item, read_limits, read_taxonomy
from .errors import ServiceError
from .filter_messages import write_filter
from .messages import item_name, read_snapshot_name, snapshot_name
from .search_messages import read_result, write_request

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
OPTIONS = [  # of a channel
    ("grpc.service_config", json.dumps(_RETRY)),
    ("grpc.max_receive_message_length", -1),
    # What is kept of a call to be asked again; by default 256 KiB, and a call with more, a photo, is asked once only.
    ("grpc.per_rpc_retry_buffer_size", 2**31 - 1),
]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call.

    Args:
        method: of the stubs' (`Stubs`).
        request: a message, or an iterator of messages for a method that takes a stream.
        read: makes of the answer what the caller gets.
    """

    method: str
    request: Any
    read: Callable[[Any], T]


class Stubs:
    """The methods of both services of a channel, threads' or an event loop's."""

    def __init__(self, channel: Any) -> None:
        self._search = search_pb2_grpc.SearchServiceStub(channel)
        self._catalog = catalog_pb2_grpc.CatalogServiceStub(channel)

    def __getitem__(self, method: str) -> Any:
        return getattr(self._search if hasattr(self._search, method) else self._catalog, method)


def search(request: SearchRequest) -> Call[SearchResult]:
    """One page."""
    return Call("Search", write_request(request), read_result)


def explain(request: SearchRequest, item_id: str, overlays: bool) -> Call[search_pb2.ExplainResponse]:
    """Why an item is where it is."""
    message = search_pb2.ExplainRequest(search=write_request(request), item_id=item_id, overlays=overlays)
    return Call("Explain", message, lambda answer: answer)


def embed(image: bytes, snapshot: str) -> Call[search_pb2.EmbedResponse]:
    """The duet of a picture."""
    return Call("Embed", search_pb2.EmbedRequest(image=image, snapshot=_name(snapshot)), lambda answer: answer)


def item(item_id: str, snapshot: str) -> Call[Item]:
    """One item."""
    request = catalog_pb2.GetItemRequest(name=item_name(item_id), snapshot=_name(snapshot))
    return Call("GetItem", request, lambda answer: read_item(answer.item))


def items(
    filter_: Filter | None, snapshot: str, thumbnails: bool, page_size: int, page_token: str
) -> Call[tuple[list[Item], str]]:
    """A page of items, and the token of the next one."""
    request = catalog_pb2.ListItemsRequest(
        page_size=page_size,
        page_token=page_token,
        snapshot=_name(snapshot),
        filter=None if filter_ is None else write_filter(filter_),
        thumbnails=thumbnails,
    )
    return Call("ListItems", request, lambda answer: ([read_item(one) for one in answer.items], answer.next_page_token))


class BatchMessages:
    """The messages of a batch, as they are taken.

    Args:
        requests: of the caller, whose own errors gRPC keeps to itself.

    Attributes:
        error: what taking or writing one of them raised.
    """

    def __init__(self, requests: Iterable[SearchRequest]) -> None:
        self._requests = requests
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[search_pb2.BatchSearchRequest]:
        try:
            for request in self._requests:
                yield search_pb2.BatchSearchRequest(search=write_request(request))
        except Exception as error:
            self.error = error
            raise


def upsert(new: Iterable[catalog_pb2.UpsertItem], request_id: str | None) -> Call[catalog_pb2.UpsertItemsResponse]:
    """Put items in."""
    chosen = _request_id(request_id)
    messages = [catalog_pb2.UpsertItemsRequest(request_id="" if n else chosen, item=one) for n, one in enumerate(new)]
    return Call("UpsertItems", messages, lambda answer: answer)


def delete(item_ids: Iterable[str], request_id: str | None) -> Call[catalog_pb2.DeleteItemsResponse]:
    """Take items out."""
    request = catalog_pb2.DeleteItemsRequest(request_id=_request_id(request_id), item_ids=item_ids)
    return Call("DeleteItems", request, lambda answer: answer)


def publish(snapshot: str, request_id: str | None) -> Call[str]:
    """Serve another snapshot; its id."""
    request = catalog_pb2.PublishSnapshotRequest(request_id=_request_id(request_id), snapshot=_name(snapshot))
    return Call("PublishSnapshot", request, _snapshot_id)


def taxonomy(snapshot: str) -> Call[Taxonomy]:
    """What requests may name."""
    return Call("GetTaxonomy", catalog_pb2.GetTaxonomyRequest(snapshot=_name(snapshot)), read_taxonomy)


def limits() -> Call[Limits]:
    """What requests may hold."""
    return Call("GetLimits", catalog_pb2.GetLimitsRequest(), lambda answer: read_limits(answer.limits))


def published() -> Call[str]:
    """Id of the published snapshot."""
    return Call("GetSnapshot", catalog_pb2.GetSnapshotRequest(name=snapshot_name("published")), _snapshot_id)


def too_late(seconds: float) -> ServiceError:
    """An answer of a batch did not come in time."""
    return ServiceError(grpc.StatusCode.DEADLINE_EXCEEDED, f"DEADLINE_EXCEEDED: no answer within {seconds:g} s")


def _name(snapshot: str) -> str:
    return snapshot_name(snapshot) if snapshot else ""


def _snapshot_id(answer: Any) -> str:
    return read_snapshot_name(answer.snapshot.name, "snapshot")


def _request_id(given: str | None) -> str:
    return given or uuid.uuid4().hex  # never none: a change is sent again where the connection was lost
