"""A tiny service behind the interceptor, with methods of all four kinds, and tokens for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from pipelines.serve.security.access import Access
from pipelines.serve.security.files import Reread
from pipelines.serve.security.scopes import Scope
from pipelines.serve.security.tokens import digest, read_tokens

TOKENS = {"reader": ("r" * 40, ["read"]), "writer": ("w" * 40, ["write"]), "both": ("b" * 40, ["read", "write"])}
CATALOG, SEARCH = "duet.v1.CatalogService", "duet.v1.SearchService"


def tokens_text(*names: str) -> str:
    """The sections of these tokens, or of all."""
    chosen = {name: TOKENS[name] for name in names or TOKENS}
    return "".join(
        f'[{name}]\nsha256 = "{digest(token)}"\nscopes = {scopes}\n' for name, (token, scopes) in chosen.items()
    )


def tokens_file(folder: Path, *names: str) -> Path:
    path = folder / "tokens.toml"
    path.write_text(tokens_text(*names))
    return path


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The header of a token; none of ""."""
    return (("authorization", f"Bearer {token}"),) if token else ()


def _request() -> Any:
    """A message as the catalogue's writing methods will have one."""
    kind = descriptor_pb2.FieldDescriptorProto
    message = descriptor_pb2.DescriptorProto(name="Request")
    message.field.add(name="request_id", number=1, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    message.field.add(name="item_ids", number=2, type=kind.TYPE_STRING, label=kind.LABEL_REPEATED)
    message.field.add(name="image", number=3, type=kind.TYPE_BYTES, label=kind.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(descriptor_pb2.FileDescriptorProto(name="guarded.proto", package="guarded", message_type=[message]))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("guarded.Request"))


Request = _request()
LOOK_SECONDS = 0.02
Fate = Callable[[grpc.aio.ServicerContext], Any]


async def fine(_: grpc.aio.ServicerContext) -> None:
    """What becomes of a call: nothing untoward."""


def services(fate: Fate) -> tuple[grpc.GenericRpcHandler, ...]:
    """A method of every kind that writes, and one that reads; each answers with the number of ids that it was sent."""

    async def unary(request: Any, context: grpc.aio.ServicerContext) -> bytes:
        await fate(context)
        return str(len(request.item_ids)).encode()

    async def unary_stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        yield b"first"
        await fate(context)
        yield str(len(request.item_ids)).encode()

    async def stream_unary(requests: Any, context: grpc.aio.ServicerContext) -> bytes:
        count = 0
        async for request in requests:
            count += len(request.item_ids)
        await fate(context)
        return str(count).encode()

    async def stream_stream(requests: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        async for request in requests:
            yield str(len(request.item_ids)).encode()
        await fate(context)

    read = Request.FromString
    kinds = {
        "unary_unary": grpc.unary_unary_rpc_method_handler(unary, read),
        "unary_stream": grpc.unary_stream_rpc_method_handler(unary_stream, read),
        "stream_unary": grpc.stream_unary_rpc_method_handler(stream_unary, read),
        "stream_stream": grpc.stream_stream_rpc_method_handler(stream_stream, read),
    }
    writing = dict(zip(METHODS[Scope.WRITE].values(), kinds.values(), strict=True))
    reading = dict(zip(METHODS[Scope.READ].values(), kinds.values(), strict=True))
    return (
        grpc.method_handlers_generic_handler(CATALOG, writing),
        grpc.method_handlers_generic_handler(SEARCH, reading),
    )


# By kind. Forgotten stands in no table.
METHODS = {
    Scope.WRITE: {
        "unary_unary": "DeleteItems",
        "unary_stream": "PublishSnapshot",
        "stream_unary": "UpsertItems",
        "stream_stream": "Forgotten",
    },
    Scope.READ: {
        "unary_unary": "Search",
        "unary_stream": "Embed",
        "stream_unary": "Explain",
        "stream_stream": "BatchSearch",
    },
}


@asynccontextmanager
async def guarded(tokens: Path | None, *, everybody: tuple[Scope, ...] = (), fate: Fate = fine) -> AsyncIterator[str]:
    """The service; yields its target."""
    known = None if tokens is None else Reread(lambda: read_tokens(tokens), tokens, seconds=LOOK_SECONDS)
    server = grpc.aio.server(interceptors=[Access(known, frozenset(everybody))])
    server.add_generic_rpc_handlers(services(fate))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def call(channel: grpc.aio.Channel, kind: str, path: str, token: str = "", *requests: Any) -> list[bytes]:
    """All responses of a call. Raises `grpc.aio.AioRpcError`."""
    method = getattr(channel, kind)(path, request_serializer=Request.SerializeToString)
    sent = requests or (Request(request_id="r-1", item_ids=["a", "b"]),)
    calling = method(iter(sent) if kind.startswith("stream") else sent[0], metadata=bearer(token), timeout=10)
    if kind.endswith("unary"):
        return [await calling]
    return [response async for response in calling]
