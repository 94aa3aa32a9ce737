"""The audit log: a line of JSON for every call of a method that may change something, also of one that was refused.

Lines go to the logger ``duet.audit``. They hold counts, never ids, pictures or tokens.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import logging.handlers
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc

from pipelines.errors import DuetError

from ..handlers import behaviour_of, with_behaviour

# Fields of requests that hold items or their names; a repeated one counts as many as it holds.
ITEM_FIELDS = ("items", "item_ids", "names", "item", "item_id")
_LONGEST_ID = 64  # characters of a request_id

log = logging.getLogger("duet.audit")
log.setLevel(logging.INFO)  # whatever the level of the rest


def append_to(path: Path) -> None:
    """Write the lines to a file of their own, and no longer to the log; a file that is moved away is made anew.

    Raises:
        DuetError: the file cannot be written.
    """
    try:
        handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    except OSError as error:
        raise DuetError(f"--audit {path}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.propagate = False


class _Entry:
    """One call's line, as far as it is known."""

    def __init__(self, method: str, token: str, context: grpc.aio.ServicerContext) -> None:
        self._method, self._context = method.removeprefix("/"), context
        self._who, self._known_by = (token, "token") if token else _certified(context)
        self._request_id, self._items = "", 0

    def seen(self, request: Any) -> Any:
        """The request or requests, of which what the line needs is noted as the handler reads them."""
        if hasattr(request, "__aiter__"):
            return self._each(request)
        self._note(request)
        return request

    async def _each(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            self._note(request)
            yield request

    def _note(self, request: Any) -> None:
        fields = request.ListFields() if hasattr(request, "ListFields") else ()
        for field, value in fields:
            if field.name == "request_id" and not self._request_id:
                self._request_id = str(value)[:_LONGEST_ID]
            elif field.name in ITEM_FIELDS:
                self._items += len(value) if field.is_repeated else 1

    def write(self, code: grpc.StatusCode) -> None:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": self._method,
            "who": self._who,
            "known_by": self._known_by,
            "peer": unquote(self._context.peer()),
            "code": code.name,
            "request_id": self._request_id,
            "items": self._items,
        }
        log.info(json.dumps(line))


def audited(handler: grpc.RpcMethodHandler, method: str, token: str) -> grpc.RpcMethodHandler:
    """A handler that does the same, and at the end of the call writes its line.

    Args:
        handler: of any of the four kinds, asynchronous.
        method: ``/service/Method``.
        token: name of the caller's token; "" = without one.
    """
    behaviour = behaviour_of(handler)

    async def answer(request: Any, context: grpc.aio.ServicerContext) -> Any:
        with _entry(method, token, context) as entry:
            return await behaviour(entry.seen(request), context)

    async def stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        with _entry(method, token, context) as entry:
            async for response in behaviour(entry.seen(request), context):
                yield response

    # A coroutine may answer with a stream, too: it writes to the context.
    return with_behaviour(handler, answer if inspect.iscoroutinefunction(behaviour) else stream)


@contextmanager
def _entry(method: str, token: str, context: grpc.aio.ServicerContext) -> Iterator[_Entry]:
    entry, ended = _Entry(method, token, context), grpc.StatusCode.UNKNOWN
    try:
        yield entry
        ended = grpc.StatusCode.OK
    except (asyncio.CancelledError, GeneratorExit):
        ended = grpc.StatusCode.CANCELLED  # and yet something may have changed
        raise
    finally:
        said = _said(context)
        entry.write(ended if said is grpc.StatusCode.OK else said)


def _said(context: grpc.aio.ServicerContext) -> grpc.StatusCode:
    """The status that the handler set or ended the call with; OK if it did neither."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code
    return next((one for one in grpc.StatusCode if one.value[0] == code), grpc.StatusCode.OK)


def _certified(context: grpc.aio.ServicerContext) -> tuple[str, str]:
    """Name of the caller's certificate, and by what the caller is known."""
    properties = context.auth_context()
    for key in ("x509_common_name", "x509_subject_alternative_name"):
        for name in properties.get(key, ()):
            return name.decode("utf-8", "replace"), "certificate"
    return "anonymous", ""
