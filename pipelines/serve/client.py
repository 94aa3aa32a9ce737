"""A client in Python: requests and results as the engine's own dataclasses.

with Client("127.0.0.1:50051") as client:
    for hit in client.search(item_id="dress-7", attributes=(AttributeCondition("collar"),)).hits:
        print(hit.rank, hit.item_id, hit.score)

`pipelines.serve.async_client.AsyncClient` is the same for an event loop.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

import grpc

from model.taxonomy import Taxonomy
from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2
from pipelines.search.filters import Filter
from pipelines.search.limits import Limits
from pipelines.search.request import SearchRequest
from pipelines.search.result import Item, SearchResult

from . import client_calls as calls
from .client_calls import OPTIONS, Call, Stubs
from .errors import ServiceError, from_rpc_error
from .search_messages import read_batch_response
from .security.credentials import Credentials

T = TypeVar("T")


class Client:
    """Asks a server; threads may share one. What the server refuses is raised as `ServiceError`.

    Args:
        target: ``host:port``.
        timeout: seconds that a call may take, with its retries; of a batch, each answer, from when it is waited for.
        credentials: for a server with TLS or tokens: ``Credentials.read(ca=…, token_file=…)``.

    Raises:
        DuetError: the credentials have a token, and the connection would carry it in clear to another machine.
    """

    def __init__(self, target: str, timeout: float = 30.0, credentials: Credentials | None = None) -> None:
        self.timeout = timeout
        self._channel = (credentials or Credentials()).channel(target, options=OPTIONS)
        self._stubs = Stubs(self._channel)

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
        return self._ask(calls.search(replace(request or SearchRequest(), **fields)))

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
            ServiceError: the whole batch failed, or an answer did not come in time. What one request failed by is
                yielded in its place.
        """
        messages = calls.BatchMessages(requests)
        try:
            for message in _in_time(self._stubs["BatchSearch"](iter(messages)), self.timeout):
                yield read_batch_response(message)
        except ServiceError as error:
            if messages.error is None:
                raise
            raise messages.error from error

    def explain(
        self, request: SearchRequest, item_id: str = "", *, overlays: bool = False
    ) -> search_pb2.ExplainResponse:
        """Why an item is where it is in the answer to a request, and where the encoder looks, as the message."""
        return self._ask(calls.explain(request, item_id, overlays))

    def embed(self, image: bytes, snapshot: str = "") -> search_pb2.EmbedResponse:
        """The duet of a picture, as the message."""
        return self._ask(calls.embed(image, snapshot))

    def item(self, item_id: str, snapshot: str = "") -> Item:
        """One item with its thumbnail."""
        return self._ask(calls.item(item_id, snapshot))

    def items(
        self, filter_: Filter | None = None, *, snapshot: str = "", thumbnails: bool = False, page_size: int = 100
    ) -> Iterator[Item]:
        """All items that pass a filter, by id, all of one snapshot."""
        token = ""
        while True:
            page, token = self._ask(calls.items(filter_, snapshot, thumbnails, page_size, token))
            yield from page
            if not token:
                return

    def upsert(
        self, items: Iterable[catalog_pb2.UpsertItem], request_id: str | None = None
    ) -> catalog_pb2.UpsertItemsResponse:
        """Put items in; the next search of this server sees them.

        Args:
            items: as messages; all are committed together.
            request_id: None = a new one. A call that failed may be made again with its own.
        """
        return self._ask(calls.upsert(items, request_id))

    def delete(self, item_ids: Iterable[str], request_id: str | None = None) -> catalog_pb2.DeleteItemsResponse:
        """Take items out; the next search of this server does not see them. See `upsert`."""
        return self._ask(calls.delete(item_ids, request_id))

    def publish(self, snapshot: str = "", request_id: str | None = None) -> str:
        """Serve an earlier snapshot again, or publish what is committed (""); the id of the new snapshot."""
        return self._ask(calls.publish(snapshot, request_id))

    def taxonomy(self, snapshot: str = "") -> Taxonomy:
        """The attributes and classes that a request may name."""
        return self._ask(calls.taxonomy(snapshot))

    def limits(self) -> Limits:
        """What a request may hold."""
        return self._ask(calls.limits())

    def published(self) -> str:
        """Id of the published snapshot."""
        return self._ask(calls.published())

    def _ask(self, call: Call[T]) -> T:
        request = iter(call.request) if isinstance(call.request, list) else call.request
        try:
            return call.read(self._stubs[call.method](request, timeout=self.timeout))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error


def _in_time(answers: Any, seconds: float) -> Iterator[search_pb2.BatchSearchResponse]:
    """The answers of a batch, each within some seconds: gRPC knows no deadline but that of a call as a whole.

    Raises:
        ServiceError: one did not come in time, or the batch failed.
    """
    since = math.inf  # when the answer that is waited for was asked for
    ended, late = threading.Event(), threading.Event()

    def watch() -> None:
        while not ended.wait(seconds / 10):
            if time.monotonic() - since > seconds:
                late.set()
                answers.cancel()
                return

    threading.Thread(target=watch, name="duet-batch", daemon=True).start()
    try:
        while True:
            since = time.monotonic()
            answer = next(answers, None)
            since = math.inf
            if answer is None:
                return
            yield answer
    except grpc.RpcError as error:
        raise calls.too_late(seconds) if late.is_set() else from_rpc_error(error) from error
    finally:
        ended.set()
        answers.cancel()  # of a batch that is left before its end
