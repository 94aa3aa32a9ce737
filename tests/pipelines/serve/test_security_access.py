"""Who may call what: every method with every token, all four kinds of method, and tokens that change."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pipelines.serve.security.scopes import SCOPES, Scope, needed
from pipelines.serve.security.tokens import digest
from pipelines.serve.server import SERVICES

from .guarded import CATALOG, LOOK_SECONDS, METHODS, SEARCH, TOKENS, bearer, call, guarded, tokens_file, tokens_text
from .shop import Running, Shop, serving
from .watchers import Scrape

UNAUTHENTICATED, PERMISSION_DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = [("duet.v1.CatalogService", "DropEverything"), ("duet.v1.NewService", "Get"), ("other.Service", "Call")]
UNKNOWN += [("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo")]  # there is v1alpha only
EVERY = [(service, method) for service, methods in SCOPES.items() for method in methods] + UNKNOWN[:3]
SERVICE_OF = {Scope.WRITE: CATALOG, Scope.READ: SEARCH}


Outcome = tuple[grpc.StatusCode, str]


def outcome(error: grpc.RpcError) -> Outcome:
    """Code and reason; the reason is "" where the answer is not Duet's own."""
    status, info = rpc_status.from_call(error), error_details_pb2.ErrorInfo()
    if status is None or not status.details or not status.details[0].Unpack(info):
        return error.code(), ""
    assert info.domain == "duet"
    return error.code(), info.reason


async def outcome_of(answer: Awaitable[object]) -> Outcome | None:
    """How a call was refused, or None."""
    try:
        await answer
    except grpc.aio.AioRpcError as error:
        return outcome(error)
    return None


def refusal(scope: Scope | None, token: str) -> tuple[grpc.StatusCode, str] | None:
    """How a call must be refused; None: not at all."""
    if scope is None:
        return None
    if token in ("", "wrong"):
        return UNAUTHENTICATED, "TOKEN_UNKNOWN" if token else "TOKEN_MISSING"
    return None if scope.value in TOKENS[token][1] else (PERMISSION_DENIED, "SCOPE_MISSING")


def sent(token: str) -> str:
    """The token of a name."""
    return TOKENS[token][0] if token in TOKENS else "x" * 40 if token else ""


@pytest.fixture(scope="module")
def closed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The real server, with tokens."""
    with serving(shop, tokens=tokens_file(tmp_path_factory.mktemp("tokens"))) as running:
        yield running


@pytest.mark.parametrize("token", ["", "wrong", *TOKENS])
def test_every_method_asks_for_its_scope(closed: Running, token: str) -> None:
    with grpc.insecure_channel(closed.target) as channel:
        for service, method in EVERY:
            path = f"/{service}/{method}"
            calling = channel.unary_stream(path)(b"", metadata=bearer(sent(token)), timeout=10)
            try:
                next(calling, None)
                found = None
            except grpc.RpcError as error:
                found = outcome(error)
            finally:
                calling.cancel()
            if found is not None and found[0] not in (UNAUTHENTICATED, PERMISSION_DENIED):
                found = None  # let in, and then told that the request is empty, or the method not there
            there = (service, method) not in UNKNOWN  # what there is not, gRPC refuses
            assert found == (refusal(needed(path), token) if there else None), path


def test_every_method_of_the_contract_stands_in_the_table() -> None:
    for name in SERVICES:
        methods = descriptor_pool.Default().FindServiceByName(name).methods_by_name
        assert set(methods) <= set(SCOPES[name]), f"say in scopes.py what {name}'s new methods need"


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/duet.v1.SearchService/Search", Scope.READ),
        ("/duet.v1.CatalogService/UpsertItems", Scope.WRITE),
        ("/duet.v1.CatalogService/DeleteItems", Scope.WRITE),
        ("/duet.v1.CatalogService/PublishSnapshot", Scope.WRITE),
        ("/duet.v1.CatalogService/Forgotten", Scope.WRITE),
        ("/duet.v1.CatalogService/Search", Scope.WRITE),
        ("/grpc.health.v1.Health/Check", None),
        ("/grpc.health.v1.Health/Stop", Scope.WRITE),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Scope.READ),
        ("Search", Scope.WRITE),
        ("", Scope.WRITE),
        ("//duet.v1.SearchService/Search", Scope.WRITE),
    ],
)
def test_scopes_of_methods(path: str, scope: Scope | None) -> None:
    assert needed(path) is scope


@pytest.mark.parametrize("token", ["", "wrong", *TOKENS])
def test_all_four_kinds_of_methods(tmp_path: Path, token: str) -> None:
    async def ask() -> None:
        async with guarded(tokens_file(tmp_path)) as target, grpc.aio.insecure_channel(target) as channel:
            for scope, methods in METHODS.items():
                for kind, method in methods.items():
                    answer = call(channel, kind, f"/{SERVICE_OF[scope]}/{method}", sent(token))
                    assert await outcome_of(answer) == refusal(scope, token), (kind, scope)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "TOKEN_MISSING"),
        (["Bearer"], "TOKEN_UNKNOWN"),
        (["Bearer "], "TOKEN_UNKNOWN"),
        ([TOKENS["both"][0]], "TOKEN_UNKNOWN"),
        ([f"Basic {TOKENS['both'][0]}"], "TOKEN_UNKNOWN"),
        ([f"Bearer {TOKENS['both'][0]}x"], "TOKEN_UNKNOWN"),
        ([f"Bearer {TOKENS['both'][0][:-1]}"], "TOKEN_UNKNOWN"),
        ([f"Bearer {TOKENS['both'][0]}", "Bearer x"], "TOKEN_UNKNOWN"),
        (["Bearer x", f"Bearer {TOKENS['both'][0]}"], "TOKEN_UNKNOWN"),
        ([f"Bearer {'x' * 6000}"], "TOKEN_UNKNOWN"),
        ([f"bearer {TOKENS['both'][0]}"], ""),
        ([f"Bearer  {TOKENS['both'][0]} "], ""),
    ],
)
def test_headers(tmp_path: Path, headers: list[str], reason: str) -> None:
    async def ask() -> Outcome | None:
        async with guarded(tokens_file(tmp_path)) as target, grpc.aio.insecure_channel(target) as channel:
            metadata = [("authorization", header) for header in headers]
            method = channel.unary_unary("/duet.v1.SearchService/Search")
            return await outcome_of(method(b"", metadata=metadata, timeout=10))

    assert asyncio.run(ask()) == ((UNAUTHENTICATED, reason) if reason else None)


@pytest.mark.parametrize(
    ("everybody", "scope", "refused"),
    [
        ((Scope.READ, Scope.WRITE), Scope.READ, False),
        ((Scope.READ, Scope.WRITE), Scope.WRITE, False),
        ((Scope.READ,), Scope.READ, False),
        ((Scope.READ,), Scope.WRITE, True),
    ],
)
def test_without_tokens_everybody_has_the_same_scopes(
    everybody: tuple[Scope, ...], scope: Scope, refused: bool
) -> None:
    async def ask() -> None:
        async with guarded(None, everybody=everybody) as target, grpc.aio.insecure_channel(target) as channel:
            for kind, method in METHODS[scope].items():
                answer = call(channel, kind, f"/{SERVICE_OF[scope]}/{method}", "ignored")
                assert await outcome_of(answer) == ((PERMISSION_DENIED, "SCOPE_MISSING") if refused else None)

    asyncio.run(ask())


def test_on_loopback_without_tokens_everything_is_open(running: Running) -> None:
    with grpc.insecure_channel(running.target) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/duet.v1.CatalogService/Forgotten")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_method_that_there_is_not_is_refused_by_grpc_and_not_counted(tmp_path: Path, shop: Shop) -> None:
    """Or whoever has no token could make up names, each of which would be kept."""
    with serving(shop, tokens=tokens_file(tmp_path), metrics_port=0) as running:
        with grpc.insecure_channel(running.target) as channel:
            for service in ("Search", "Catalog"):
                with pytest.raises(grpc.RpcError) as caught:
                    channel.unary_unary(f"/duet.v1.{service}Service/Nothing")(b"", timeout=10)
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            with pytest.raises(grpc.RpcError):
                channel.unary_unary("/duet.v1.SearchService/Search")(b"", timeout=10)
        end, names = time.monotonic() + 10, set[str]()
        while not names and time.monotonic() < end:
            names = {one["method"] for one in Scrape(running).labels("duet_requests_total")}
        assert names == {"Search"}


def test_a_refused_request_is_not_read(tmp_path: Path) -> None:
    """Not even one that is no message, or larger than the server takes."""

    async def ask() -> set[Outcome | None]:
        async with guarded(tokens_file(tmp_path)) as target, grpc.aio.insecure_channel(target) as channel:
            method = channel.unary_unary("/duet.v1.CatalogService/DeleteItems")
            return {await outcome_of(method(sent, timeout=10)) for sent in (b"\xff" * 9, bytes(8 * 1024**2))}

    assert asyncio.run(ask()) == {(UNAUTHENTICATED, "TOKEN_MISSING")}


def test_tokens_are_read_again_when_their_file_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tokens_file(tmp_path, "reader")
    beside = tmp_path / "new.toml"

    def replace() -> None:
        beside.write_text(tokens_text("reader", "both"))
        beside.replace(path)

    def replace_by_one_of_the_same_size_and_time() -> None:
        before = path.stat()
        beside.write_text(tokens_text("reader").replace(digest(TOKENS["reader"][0]), digest(TOKENS["both"][0])))
        os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert beside.stat().st_size == before.st_size
        beside.replace(path)

    def open_to_all() -> None:
        beside.write_text(tokens_text("reader"))
        beside.chmod(0o666)
        beside.replace(path)

    steps: list[tuple[Callable[[], object], set[str]]] = [
        (lambda: None, {"reader"}),
        (replace_by_one_of_the_same_size_and_time, {"both"}),
        (replace, {"reader", "both"}),
        (lambda: path.write_text("[reader"), {"reader", "both"}),  # a mistake: what was read before stays
        (open_to_all, {"reader", "both"}),  # another
        (lambda: path.chmod(0o600), {"reader"}),  # mended
        (replace, {"reader", "both"}),
        (path.unlink, {"reader", "both"}),
        (lambda: path.write_text(""), set()),  # everything taken back
        (lambda: path.write_text(tokens_text("both")), {"both"}),
    ]

    async def ask() -> None:
        async with guarded(path) as target, grpc.aio.insecure_channel(target) as channel:
            method = channel.unary_unary("/duet.v1.SearchService/Search")
            for change, expected in steps:
                change()
                await asyncio.sleep(2 * LOOK_SECONDS)
                outcomes = {
                    name: await outcome_of(method(b"", metadata=bearer(token), timeout=10))
                    for name, (token, _) in TOKENS.items()
                    if name != "writer"
                }
                accepted = {name for name, found in outcomes.items() if found is None}
                assert set(outcomes.values()) <= {None, (UNAUTHENTICATED, "TOKEN_UNKNOWN")}
                assert accepted == expected

    asyncio.run(ask())
    faults = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(faults) == 3 and all(fault.endswith("what was read before stays in force") for fault in faults)
    assert "is no TOML file" in faults[0] and "may add tokens" in faults[1] and "No such file" in faults[2]
