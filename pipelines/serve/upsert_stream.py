"""The items of one UpsertItems, as they come."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable
from contextlib import suppress
from dataclasses import dataclass

from pipelines.errors import RequestError
from pipelines.index.requests import Request
from pipelines.rpc.duet.v1 import catalog_pb2
from pipelines.search.limits import Limits, read_name
from pipelines.search.plan import Scope
from pipelines.search.planner import read_item_id

from .pictures import Pictures
from .upsert import UpsertedItem
from .write_messages import read_upsert


@dataclass(frozen=True)
class UpsertStream:
    """A whole stream.

    Args:
        items: no two of one id; from one with a fault on, their ids alone.
        request: whose id may be "": none. Its digest is of all that it says of its items.
        fault: why an item cannot be put in, which may not have been so when the request was made before.
    """

    items: tuple[UpsertedItem, ...]
    request: Request
    fault: RequestError | None = None


async def read_stream(
    requests: AsyncIterable[catalog_pb2.UpsertItemsRequest], scope: Scope, limits: Limits, pictures: Pictures
) -> UpsertStream:
    """Read a stream to its end; nothing more of it is read than the limits allow.

    Raises:
        RequestError: an item that cannot be put in, in a stream without an id; or too many. The field begins with the
            item's number, ``[3].item``.
    """
    items: dict[str, UpsertedItem] = {}
    request_id, taken, digest = "", 0, hashlib.sha256()
    number, fault = 0, None
    async for request in requests:
        if not number:
            request_id = read_name(request.request_id, limits, "request_id")
        path = f"[{number}]"
        if number == limits.changed_items:
            raise RequestError("TOO_MANY", f"a stream has at most {limits.changed_items} items", f"{path}.item")
        taken += request.ByteSize()
        if taken > limits.changed_bytes:
            message = f"a stream has at most {limits.changed_bytes:,} bytes"
            raise RequestError("TOO_MANY_BYTES", message, f"{path}.item")
        number += 1
        digest.update(request.item.SerializeToString(deterministic=True))
        try:  # in a thread: it may look for a picture's file, on whatever storage
            if fault is None:
                item = await asyncio.to_thread(read_upsert, request.item, scope, limits, pictures)
                if item.item_id in items:
                    message = f"item {item.item_id!r} comes twice in one stream"
                    raise RequestError("DUPLICATE_ITEM", message, "item.item_id")
                items[item.item_id] = item
        except RequestError as error:
            fault = error.below(path)
            if not request_id:
                raise fault from None
        if fault is not None:  # an answer of before tells of this item, too
            with suppress(RequestError):
                item_id = read_item_id(request.item.item_id, limits, "item.item_id")
                items.setdefault(item_id, UpsertedItem(item_id))
    if not number:
        raise RequestError("ITEMS_REQUIRED", "the stream has no items")
    return UpsertStream(tuple(items.values()), Request(request_id, digest.hexdigest()), fault)
