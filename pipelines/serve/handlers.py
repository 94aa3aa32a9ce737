"""gRPC's handlers of all four kinds of method, as interceptors wrap them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

_KINDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def behaviour_of(handler: grpc.RpcMethodHandler) -> Callable[..., Any]:
    """The function that answers."""
    behaviour: Callable[..., Any] = getattr(handler, _kind(handler))
    return behaviour


def with_behaviour(handler: grpc.RpcMethodHandler, behaviour: Callable[..., Any]) -> grpc.RpcMethodHandler:
    """The same handler, answered by another function of the same kind."""
    changed: grpc.RpcMethodHandler = handler._replace(**{_kind(handler): behaviour})
    return changed


def _kind(handler: grpc.RpcMethodHandler) -> str:
    return _KINDS[handler.request_streaming, handler.response_streaming]
