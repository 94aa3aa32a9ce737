"""Where the server listens and whom it lets connect: TLS, certificates of clients, and settings that do not go."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipelines.errors import DuetError
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError
from pipelines.serve.security.credentials import Credentials
from pipelines.serve.security.files import LOOK_SECONDS
from pipelines.serve.security.listening import access, listen
from pipelines.serve.settings import ServeSettings, TlsSettings

from .certificates import Authority, Pair
from .guarded import TOKENS, Request, bearer, services, tokens_file
from .shop import Shop, item_id, serving


def tls(pair: Pair, client_ca: Authority | None = None) -> TlsSettings:
    return TlsSettings(
        certificate=pair.certificate, key=pair.key, client_ca=None if client_ca is None else client_ca.path
    )


def check(target: str, credentials: Credentials, timeout: float = 5) -> grpc.StatusCode:
    """How the question whether the server is up ends."""
    with credentials.channel(target) as channel:
        try:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def search(target: str, credentials: Credentials) -> int:
    with Client(target, credentials=credentials) as client:
        return len(client.search(item_id=item_id(1), page_size=3).hits)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_searches_over_tls_with_a_token(shop: Shop, authority: Authority, tmp_path: Path) -> None:
    tokens = tokens_file(tmp_path)
    with serving(shop, tls=tls(authority.issue("server")), tokens=tokens) as running:
        trusting = authority.path.read_bytes()
        assert search(running.target, Credentials(trusting, token=TOKENS["reader"][0])) == 3
        for token, reason in (("", "TOKEN_MISSING"), ("x", "TOKEN_UNKNOWN"), (TOKENS["writer"][0], "SCOPE_MISSING")):
            with pytest.raises(ServiceError) as caught:
                search(running.target, Credentials(trusting, token=token))
            assert caught.value.reason == reason
        assert check(running.target, Credentials(trusting)) is grpc.StatusCode.OK


def test_a_server_that_no_known_authority_vouches_for(shop: Shop, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    expired = authority.issue("expired", expired=True)
    for pair, known in ((authority.issue("server"), other), (expired, authority)):
        with serving(shop, tls=tls(pair)) as running:
            assert check(running.target, Credentials(known.path.read_bytes())) is grpc.StatusCode.UNAVAILABLE


def test_plaintext_at_the_tls_port_fails_and_the_next_request_is_served(shop: Shop, authority: Authority) -> None:
    with serving(shop, tls=tls(authority.issue("server"))) as running:
        trusting = Credentials(authority.path.read_bytes())
        assert check(running.target, Credentials()) is grpc.StatusCode.UNAVAILABLE
        assert search(running.target, trusting) == 3
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 600, b"\0" * 100_000, b""):
            with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
                connection.sendall(noise)
                assert search(running.target, trusting) == 3


def test_clients_need_a_certificate_where_one_is_asked_for(shop: Shop, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    shown = {
        "none": None,
        "good": authority.issue("good"),
        "expired": authority.issue("expired", expired=True),
        "stranger": other.issue("stranger"),
    }
    with serving(shop, tls=tls(authority.issue("server"), authority)) as running:
        for name, pair in shown.items():
            credentials = Credentials.read(
                ca=authority.path,
                certificate=None if pair is None else pair.certificate,
                key=None if pair is None else pair.key,
            )
            expected = grpc.StatusCode.OK if name == "good" else grpc.StatusCode.UNAVAILABLE
            assert check(running.target, credentials) is expected, name
        assert check(running.target, Credentials()) is grpc.StatusCode.UNAVAILABLE


async def ask_writing(settings: ServeSettings, credentials: Credentials, token: str) -> grpc.StatusCode:
    """How a call of a method that changes something ends at a server with these settings."""

    async def fate(_: Any) -> None: ...

    server = grpc.aio.server(interceptors=[access(settings)])
    server.add_generic_rpc_handlers(services(fate))
    port = listen(server, settings)
    await server.start()
    try:
        async with credentials.aio_channel(f"127.0.0.1:{port}") as channel:
            method = channel.unary_unary("/duet.v1.CatalogService/DeleteItems", Request.SerializeToString)
            await method(Request(item_ids=["a"]), metadata=bearer(token), timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        await server.stop(None)
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("host", "tokens", "token", "code", "who"),
    [
        ("127.0.0.1", False, "", "OK", "merchandiser"),
        ("127.0.0.1", True, "writer", "OK", "writer"),
        ("127.0.0.1", True, "", "UNAUTHENTICATED", "merchandiser"),
        ("0.0.0.0", False, "", "PERMISSION_DENIED", "merchandiser"),
        ("0.0.0.0", True, "writer", "OK", "writer"),
        ("0.0.0.0", True, "reader", "PERMISSION_DENIED", "reader"),
    ],
)
def test_who_writes_is_known_by_token_or_certificate(
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    host: str,
    tokens: bool,
    token: str,
    code: str,
    who: str,
) -> None:
    certificate = authority.issue("merchandiser")
    settings = ServeSettings(
        index="",
        host=host,
        port=0,
        tls=tls(authority.issue("server"), authority),
        tokens=tokens_file(tmp_path) if tokens else None,
    )
    credentials = Credentials.read(ca=authority.path, certificate=certificate.certificate, key=certificate.key)
    found = asyncio.run(ask_writing(settings, credentials, TOKENS[token][0] if token else ""))
    assert found.name == code
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "duet.audit"]
    assert (line["who"], line["code"]) == (who, code)
    assert line["known_by"] == ("certificate" if who == "merchandiser" else "token")


def test_a_renewed_certificate_is_picked_up(shop: Shop, authority: Authority, tmp_path: Path) -> None:
    old, new = authority.issue("server"), Authority(tmp_path, "new")
    with serving(shop, tls=tls(old)) as running:
        assert check(running.target, Credentials(authority.path.read_bytes())) is grpc.StatusCode.OK
        renewed = new.issue("renewed")
        shutil.copy(renewed.certificate, old.certificate)
        time.sleep(LOOK_SECONDS + 0.1)  # meanwhile the key does not fit, and the old pair stays
        assert check(running.target, Credentials(authority.path.read_bytes())) is grpc.StatusCode.OK
        shutil.copy(renewed.key, old.key)
        time.sleep(LOOK_SECONDS + 0.1)
        assert check(running.target, Credentials(new.path.read_bytes())) is grpc.StatusCode.OK
        assert check(running.target, Credentials(authority.path.read_bytes())) is grpc.StatusCode.UNAVAILABLE


Change = Callable[[Path, Authority, Pair], dict[str, Any]]


def world_readable(_: Path, __: Authority, pair: Pair) -> dict[str, Any]:
    pair.key.chmod(0o644)
    return {"tls": tls(pair)}


def emptied(folder: Path, _: Authority, pair: Pair) -> dict[str, Any]:
    pair.certificate.write_text("")
    return {"tls": tls(pair)}


def no_key(folder: Path, _: Authority, pair: Pair) -> dict[str, Any]:
    pair.key.write_text("no key")
    return {"tls": tls(pair)}


def tokens(text: str, mode: int = 0o644) -> Change:
    def change(folder: Path, _: Authority, __: Pair) -> dict[str, Any]:
        path = folder / "tokens.toml"
        path.write_text(text)
        path.chmod(mode)
        return {"tokens": path}

    return change


SECTION = '[shop]\nsha256 = "' + "0" * 64 + '"\nscopes = ["read"]\n'
FAULTS: dict[str, tuple[Change, str]] = {
    "open to others": (lambda *_: {"host": "0.0.0.0"}, "--host 0.0.0.0 would let everybody in .*--tokens FILE"),
    "v6": (lambda *_: {"host": "::"}, "--host :: would let"),
    "a name": (lambda *_: {"host": "shop.example"}, "--host shop.example would let"),
    "tokens in clear": (
        lambda folder, *_: {"host": "0.0.0.0", "tokens": tokens_file(folder)},
        "--host 0.0.0.0 can be reached from other machines, which needs TLS: give --tls.certificate and --tls.key",
    ),
    "TLS for everybody": (lambda _, __, pair: {"host": "0.0.0.0", "tls": tls(pair)}, "would let everybody in"),
    "not of this machine": (
        lambda folder, _, pair: {"host": "192.0.2.1", "tls": tls(pair), "tokens": tokens_file(folder)},
        "192.0.2.1 is not an address of this machine",
    ),
    "no key": (lambda _, __, pair: {"tls": TlsSettings(certificate=pair.certificate)}, "go together"),
    "no certificate": (lambda _, __, pair: {"tls": TlsSettings(key=pair.key)}, "go together"),
    "client-ca alone": (lambda _, ca, __: {"tls": TlsSettings(client_ca=ca.path)}, "--tls.client-ca needs"),
    "absent": (
        lambda folder, _, pair: {"tls": TlsSettings(certificate=folder / "no.pem", key=pair.key)},
        "no.pem: No such file",
    ),
    "absent key": (
        lambda folder, _, pair: {"tls": TlsSettings(certificate=pair.certificate, key=folder / "no.key")},
        "no.key: No such file",
    ),
    "a folder": (
        lambda folder, _, pair: {"tls": TlsSettings(certificate=folder, key=pair.key)},
        "Is a directory",
    ),
    "empty certificate": (emptied, "server.pem: holds no certificate in PEM form"),
    "wrong key": (
        lambda _, ca, pair: {"tls": TlsSettings(certificate=pair.certificate, key=ca.issue("other").key)},
        "other.key: is not the key of the certificate .*server.pem",
    ),
    "key is none": (no_key, "server.key: holds no private key in PEM form"),
    "key for all to read": (world_readable, "server.key: every user of this machine may read this secret; chmod o-rwx"),
    "password": (
        lambda _, ca, __: {"tls": tls(ca.issue("locked", password="sesame"))},
        "locked.key: is encrypted with a password",
    ),
    "client-ca is none": (
        lambda _, __, pair: {"tls": TlsSettings(certificate=pair.certificate, key=pair.key, client_ca=pair.key)},
        "server.key: holds no certificate in PEM form",
    ),
    "tokens absent": (lambda folder, *_: {"tokens": folder / "no.toml"}, "no.toml: No such file"),
    "no TOML": (tokens("[shop"), "tokens.toml: is no TOML file"),
    "no UTF-8": (lambda folder, ca, pair: {"tokens": _bytes(folder, b"\xff")}, "is no TOML file"),
    "no sections": (tokens("shop = 'secret-token'"), r"tokens.toml: shop: Input should be (?!.*secret)"),
    "a token in clear": (
        tokens('[shop]\nsha256 = "secret-token"\nscopes = ["read"]'),
        r"tokens.toml: shop.sha256: (?!.*secret)",
    ),
    "no scopes": (tokens(SECTION.replace('"read"', "")), "shop.scopes: .* at least 1"),
    "no such scope": (tokens(SECTION.replace("read", "admin")), "shop.scopes.0: Input should be 'read' or 'write'"),
    "something else": (tokens(SECTION + "expires = 1\n"), "shop.expires: Extra inputs"),
    "a strange name": (tokens(SECTION.replace("shop", '"a b"')), "'a b': a name has up to 64 letters"),
    "twice the same token": (tokens(SECTION + SECTION.replace("shop", "feed")), "two names have the same token"),
    "for all to write": (tokens(SECTION, 0o666), "tokens.toml: every user of this machine may add tokens"),
}


def _bytes(folder: Path, data: bytes) -> Path:
    path = folder / "tokens.toml"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", FAULTS)
def test_settings_that_do_not_go(authority: Authority, tmp_path: Path, name: str) -> None:
    change, message = FAULTS[name]
    settings = ServeSettings(index="", **{"port": 0, **change(tmp_path, authority, authority.issue("server"))})

    async def start() -> None:
        server = grpc.aio.server(interceptors=[access(settings)])
        try:
            listen(server, settings)
        finally:
            await server.stop(None)

    with pytest.raises(DuetError, match=message) as caught:
        asyncio.run(start())
    assert "\n" not in str(caught.value)


def test_the_server_refuses_before_it_loads(shop: Shop, authority: Authority) -> None:
    for faulty in ({"host": "0.0.0.0"}, {"host": "0.0.0.0", "tls": tls(authority.issue("server"))}):
        with pytest.raises(DuetError, match=r"--host 0\.0\.0\.0"), serving(shop, **faulty):
            pass


@pytest.mark.parametrize("host", ["localhost", "::1", "127.0.0.2"])
def test_other_names_of_loopback(shop: Shop, host: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    with serving(shop, host=host) as running:
        target = f"[::1]:{running.port}" if host == "::1" else f"{host}:{running.port}"
        assert check(target, Credentials()) is grpc.StatusCode.OK


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
