"""SearchService: messages in, an engine asked, messages out."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from pipelines.data.images import prepare
from pipelines.errors import RequestError
from pipelines.evaluate.attention import NoAttentionError, look
from pipelines.rpc.duet.v1 import search_pb2, search_pb2_grpc
from pipelines.search.query import image_limits

from .batch import in_order
from .calls import Calls, answered, answered_in_turn, status_of
from .engines import Engines
from .explanation_messages import write_attention, write_explanation
from .messages import read_snapshot_name
from .pictures import Pictures
from .search_messages import read_request, write_duet, write_error, write_result


class SearchServicer(search_pb2_grpc.SearchServiceServicer):
    """``duet.v1.SearchService``."""

    def __init__(self, engines: Engines, calls: Calls, pictures: Pictures) -> None:
        self._engines, self._calls, self._pictures = engines, calls, pictures

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
            try:
                asked = replace(read_request(request.search, self._engines.limits, self._pictures), page_token="")
                engine = self._engines.for_request(asked)
            except RequestError as error:
                raise error.below("search") from None
            message = write_explanation(engine.explain(asked, request.item_id, before_stage))
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
        asked = read_request(request, self._engines.limits, self._pictures)
        return write_result(self._engines.for_request(asked).search(asked, before_stage))
