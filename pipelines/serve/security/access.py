"""The interceptor that lets calls in or refuses them, before anything of their requests is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from grpc_status import rpc_status

from pipelines.errors import RequestError

from ..errors import to_status
from .audit import audited
from .files import Reread
from .scopes import Scope, needed
from .tokens import Token, find

_HEADER, _SCHEME = "authorization", "bearer"


class Access(grpc.aio.ServerInterceptor):
    """Lets in who holds a token with the scope that a method needs; calls that may change something are audited.

    Works for methods of all four kinds whose handlers are asynchronous.

    Args:
        tokens: None = there are none, and everybody who can connect has the same scopes.
        everybody: those scopes.
    """

    def __init__(self, tokens: Reread[tuple[Token, ...]] | None, everybody: frozenset[Scope]) -> None:
        self._tokens, self._everybody = tokens, everybody

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """The method's handler, or one that refuses."""
        method, scope = handler_call_details.method, needed(handler_call_details.method)
        handler = await continuation(handler_call_details)
        if scope is None or handler is None:  # a method that there is not is refused by gRPC, and nowhere counted
            return handler
        name, fault = self._judge(method, scope, handler_call_details.invocation_metadata)
        answering = handler if fault is None else _refusing(fault)
        if scope is Scope.WRITE:
            return audited(answering, method, name)
        return answering

    def _judge(self, method: str, scope: Scope, metadata: Sequence[tuple[str, Any]]) -> tuple[str, RequestError | None]:
        """The name of the token, or "", and why the call is refused, or None."""
        if self._tokens is None:
            if scope in self._everybody:
                return "", None
            return "", RequestError(
                "SCOPE_MISSING", f"{method} needs a token, and this server was given none to accept"
            )
        presented = [value for key, value in metadata if key == _HEADER]
        if not presented:
            return "", RequestError(
                "TOKEN_MISSING", f"{method} needs a token: send the header 'authorization: Bearer …'"
            )
        scheme, _, text = presented[0].partition(" ") if isinstance(presented[0], str) else ("", "", "")
        token = find(self._tokens.latest(), text.strip())
        if len(presented) > 1 or scheme.lower() != _SCHEME or token is None:
            return "", RequestError("TOKEN_UNKNOWN", "the header 'authorization' holds no token that is known here")
        if scope not in token.scopes:
            return token.name, RequestError("SCOPE_MISSING", f"{method} needs a token with the scope {scope}")
        return token.name, None


def _refusing(fault: RequestError) -> grpc.RpcMethodHandler:
    """A handler that reads nothing; callers of all four kinds understand it, since on the wire they are one."""
    status = rpc_status.to_status(to_status(fault))

    async def refuse(_: Any, context: grpc.aio.ServicerContext) -> None:
        await context.abort(status.code, status.details, status.trailing_metadata)

    return grpc.stream_stream_rpc_method_handler(refuse)
