"""`pipelines.serve.client.Client` for an event loop.

async with AsyncClient("127.0.0.1:50051") as client:
    result = await client.search(item_id="dress-7")
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

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
M = TypeVar("M", bound=Message)
_REFUSED_SECONDS = 0.05  # a way there and back


class AsyncClient:
    """Asks a server; make it, and use it, within one event loop. Every method is `Client`'s of that name.

    Args:
        target: ``host:port``.
        timeout: seconds that a call may take, with its retries; of a batch, each answer, from when it is waited for.
        credentials: for a server with TLS or tokens.

    Raises:
        DuetError: the credentials have a token, and the connection would carry it in clear to another machine.
    """

    def __init__(self, target: str, timeout: float = 30.0, credentials: Credentials | None = None) -> None:
        self.timeout = timeout
        self._channel = (credentials or Credentials()).aio_channel(target, options=OPTIONS)
        self._stubs = Stubs(self._channel)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def search(self, request: SearchRequest | None = None, **fields: Any) -> SearchResult:
        """One page. The request, or its fields by name."""
        return await self._ask(calls.search(replace(request or SearchRequest(), **fields)))

    async def pages(self, request: SearchRequest) -> AsyncIterator[SearchResult]:
        """All pages, all of one snapshot."""
        while True:
            result = await self.search(request)
            yield result
            if not result.next_page_token:
                return
            request = replace(request, page_token=result.next_page_token)

    async def batch(self, requests: Iterable[SearchRequest]) -> AsyncIterator[SearchResult | ServiceError]:
        """An answer to each of many requests, in their order.

        Raises:
            ServiceError: the whole batch failed, or an answer did not come in time.
        """
        messages = calls.BatchMessages(requests)
        answers = _written(self._stubs["BatchSearch"], messages)
        try:
            while (message := await asyncio.wait_for(answers.read(), self.timeout)) is not grpc.aio.EOF:
                yield read_batch_response(message)
        except grpc.RpcError as error:
            raise messages.error or from_rpc_error(error) from error
        except asyncio.CancelledError:
            if messages.error is not None:  # which gRPC cancels the call for
                raise messages.error from None
            raise
        except TimeoutError as error:
            raise calls.too_late(self.timeout) from error
        finally:
            answers.cancel()

    async def explain(
        self, request: SearchRequest, item_id: str = "", *, overlays: bool = False
    ) -> search_pb2.ExplainResponse:
        """Why an item is where it is in the answer to a request, as the message."""
        return await self._ask(calls.explain(request, item_id, overlays))

    async def embed(self, image: bytes, snapshot: str = "") -> search_pb2.EmbedResponse:
        """The duet of a picture, as the message."""
        return await self._ask(calls.embed(image, snapshot))

    async def item(self, item_id: str, snapshot: str = "") -> Item:
        """One item with its thumbnail."""
        return await self._ask(calls.item(item_id, snapshot))

    async def items(
        self, filter_: Filter | None = None, *, snapshot: str = "", thumbnails: bool = False, page_size: int = 100
    ) -> AsyncIterator[Item]:
        """All items that pass a filter, by id, all of one snapshot."""
        token = ""
        while True:
            page, token = await self._ask(calls.items(filter_, snapshot, thumbnails, page_size, token))
            for item in page:
                yield item
            if not token:
                return

    async def upsert(
        self, items: Iterable[catalog_pb2.UpsertItem], request_id: str | None = None
    ) -> catalog_pb2.UpsertItemsResponse:
        """Put items in; the next search of this server sees them."""
        return await self._ask(calls.upsert(items, request_id))

    async def delete(self, item_ids: Iterable[str], request_id: str | None = None) -> catalog_pb2.DeleteItemsResponse:
        """Take items out; the next search of this server does not see them."""
        return await self._ask(calls.delete(item_ids, request_id))

    async def publish(self, snapshot: str = "", request_id: str | None = None) -> str:
        """Serve an earlier snapshot again, or publish what is committed (""); the id of the new snapshot."""
        return await self._ask(calls.publish(snapshot, request_id))

    async def taxonomy(self, snapshot: str = "") -> Taxonomy:
        """The attributes and classes that a request may name."""
        return await self._ask(calls.taxonomy(snapshot))

    async def limits(self) -> Limits:
        """What a request may hold."""
        return await self._ask(calls.limits())

    async def published(self) -> str:
        """Id of the published snapshot."""
        return await self._ask(calls.published())

    async def _ask(self, call: Call[T]) -> T:
        ask = functools.partial(self._stubs[call.method], timeout=self.timeout)
        try:
            return call.read(
                await (ask(call.request) if isinstance(call.request, Message) else _written(ask, call.request))
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error


def _written(begin: Callable[[AsyncIterator[M]], Any], messages: Iterable[M]) -> Any:
    """A call that takes a stream, whose messages are written once it has had the time to be refused.

    Of a call that ends while it is written to, grpc.aio says INTERNAL, whatever the server says.
    """

    async def written() -> AsyncIterator[M]:
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _REFUSED_SECONDS)
        for message in messages:
            if call.done():
                return
            yield message

    ended = asyncio.Event()
    call = begin(written())
    call.add_done_callback(lambda _: ended.set())
    return call
