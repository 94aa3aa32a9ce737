"""The client's side: what it shows, whom it believes, what it never sends in clear; on the command line, too."""

from __future__ import annotations

import asyncio
import re
import socket
import stat
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from pipelines.errors import DuetError
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc
from pipelines.serve.client import Client
from pipelines.serve.errors import ServiceError
from pipelines.serve.search_command import main as search
from pipelines.serve.security.addresses import is_loopback, is_loopback_target
from pipelines.serve.security.credentials import Credentials
from pipelines.serve.security.scopes import Scope
from pipelines.serve.security.token_command import main as token
from pipelines.serve.security.tokens import digest, read_tokens
from pipelines.serve.settings import TlsSettings

from .certificates import Authority
from .guarded import TOKENS, tokens_file
from .shop import Shop, item_id, serving

READER = TOKENS["reader"][0]


def secret(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secret.token"
    path.write_text(text)
    path.chmod(mode)
    return path


def fault(capsys: pytest.CaptureFixture[str], main: Callable[[list[str]], int], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    return errors


@pytest.mark.parametrize(
    ("target", "loopback"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.9.1:1", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("10.0.0.1:50051", False),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("shop.example:50051", False),
        ("127.0.0.1.example:50051", False),
        ("localhost.example:50051", False),
        ("127.0.0.1", False),
        ("::1:50051", False),
        ("ipv4:127.0.0.1:50051,10.0.0.1:50051", False),
        ("dns:///localhost:50051", False),
        ("dns://10.0.0.1/localhost:50051", False),
        ("127.0.0.1:50051@shop.example:1", False),
        ("unix:socket", False),
        ("2130706433:50051", False),
        ("", False),
    ],
)
def test_targets_on_this_machine(target: str, loopback: bool) -> None:
    assert is_loopback_target(target) is loopback


def test_hosts_on_this_machine() -> None:
    assert [host for host in ("127.0.0.1", "::1", "LOCALHOST", "0.0.0.0", "::", "host", "") if is_loopback(host)] == [
        "127.0.0.1",
        "::1",
        "LOCALHOST",
    ]


@pytest.mark.parametrize("target", ["shop.example:50051", "dns:///localhost:50051"])
def test_a_token_is_never_sent_in_clear_to_another_machine(target: str) -> None:
    credentials = Credentials(token=READER)
    with pytest.raises(DuetError, match=f"the token would go to {target} in clear") as caught:
        Client(target, credentials=credentials)
    assert READER not in str(caught.value) and READER not in repr(credentials)
    with pytest.raises(DuetError, match="in clear"):
        credentials.aio_channel(target)
    Client(target).close()  # without a token there is nothing to lose


def test_a_token_does_not_go_through_a_proxy(monkeypatch: pytest.MonkeyPatch, shop: Shop, tmp_path: Path) -> None:
    """The proxy would be on this machine, and the other end of its tunnel might not."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as proxy, serving(shop, tokens=tokens_file(tmp_path)) as running:
        thread = threading.Thread(target=lambda: connections.append(proxy.accept()), daemon=True)
        thread.start()
        for name in ("grpc_proxy", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("no_proxy", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        with Client(running.target, credentials=Credentials(token=READER)) as client:
            assert client.published()
        assert not connections


def test_channels_of_an_event_loop_bring_the_token_too(shop: Shop, tmp_path: Path) -> None:
    pair, authority = Authority(tmp_path).issue("server"), tmp_path / "authority.pem"

    async def ask(target: str, credentials: Credentials) -> str:
        async with credentials.aio_channel(target) as channel:
            stub = catalog_pb2_grpc.CatalogServiceStub(channel)
            request = catalog_pb2.GetSnapshotRequest(name="snapshots/published")
            return (await stub.GetSnapshot(request, timeout=10, wait_for_ready=True)).snapshot.name

    tokens = tokens_file(tmp_path)
    for tls, ca in ((TlsSettings(), b""), (TlsSettings(certificate=pair.certificate, key=pair.key), b"PEM")):
        with serving(shop, tls=tls, tokens=tokens) as running:
            with Client(running.target, credentials=Credentials(ca and authority.read_bytes(), token=READER)) as client:
                published = client.published()  # waits until it is loaded
            credentials = Credentials(ca and authority.read_bytes(), token=READER)
            assert asyncio.run(ask(running.target, credentials)) == f"snapshots/{published}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"certificate": b"c"}, "go together"),
        ({"key": b"k"}, "go together"),
        ({"certificate": b"c", "key": b"k"}, "give the server's authority"),
    ],
)
def test_credentials_that_lack_a_part(arguments: dict[str, bytes], message: str) -> None:
    with pytest.raises(DuetError, match=message):
        Credentials(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        (READER, 0o644, "secret.token: every user of this machine may read this secret; chmod o-rwx it"),
        ("", 0o600, "secret.token: should hold one token and nothing else"),
        (f"{READER}\n{READER}\n", 0o600, "should hold one token"),
        ("two words", 0o600, "should hold one token"),
        ("tökens", 0o600, "should hold one token"),
    ],
)
def test_files_that_hold_no_token(tmp_path: Path, text: str, mode: int, message: str) -> None:
    with pytest.raises(DuetError, match=message) as caught:
        Credentials.read(token_file=secret(tmp_path, text, mode))
    assert not text or text not in str(caught.value)


def test_duet_search_over_tls_with_a_token(
    capsys: pytest.CaptureFixture[str], shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    authority = Authority(tmp_path)
    pair, mine = authority.issue("server"), authority.issue("mine")
    settings = TlsSettings(certificate=pair.certificate, key=pair.key, client_ca=authority.path)
    with serving(shop, tls=settings, tokens=tokens_file(tmp_path)) as running:
        asked = ["--target", running.target, "--item", item_id(1)]
        shown = ["--certificate", str(mine.certificate), "--key", str(mine.key)]
        bringing = ["--token-file", str(secret(tmp_path, f"{READER}\n"))]
        trusting = ["--ca", str(authority.path)]
        assert search([*asked, *trusting, *shown, *bringing]) == 0
        assert capsys.readouterr().out.startswith("10 of 19 candidates")
        assert "needs a token" in fault(capsys, search, *asked, *trusting, *shown)
        assert "CERTIFICATE_VERIFY_FAILED" in fault(
            capsys, search, *asked, *shown, *bringing, "--ca", str(Authority(tmp_path, "other").path)
        )
        assert f"no server answers at {running.target}" in fault(capsys, search, *asked, *bringing)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "shop.example:1", "--token-file", "TOKEN"), "the token would go to shop.example:1 in clear"),
        (("--index", "somewhere", "--token-file", "TOKEN"), "are for a server; give --target, not --index"),
        (("--index", "somewhere", "--ca", "x"), "are for a server"),
        (("--ca", "/no.pem"), "/no.pem: No such file"),
        (("--token-file", "/no.token"), "/no.token: No such file"),
        (("--certificate", "c.pem"), "c.pem: a certificate and its key go together"),
    ],
)
def test_duet_search_with_options_that_do_not_go(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    path = str(secret(tmp_path, READER))
    given = [path if one == "TOKEN" else one for one in arguments]
    assert message in fault(capsys, search, "--item", "a", *given)


def test_duet_token_makes_one_that_the_server_takes(
    capsys: pytest.CaptureFixture[str], shop: Shop, tmp_path: Path
) -> None:
    tokens, out = tmp_path / "tokens.toml", tmp_path / "shop.token"
    tokens.write_text("# ours\n")
    tokens.chmod(0o640)
    assert token(["--name", "shop", "--tokens", str(tokens), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"shop may read with the token in {out}\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600 and stat.S_IMODE(tokens.stat().st_mode) == 0o640
    made = out.read_text().strip()
    assert re.fullmatch(r"[\w-]{43}", made) and made not in tokens.read_text()
    more = ["--name", "feed", "--scopes", "write,read", "--tokens", str(tokens), "--out", str(tmp_path / "feed.token")]
    assert token(more) == 0
    assert tokens.read_text().startswith("# ours\n")
    known = {one.name: (one.sha256, one.scopes) for one in read_tokens(tokens)}
    assert known["shop"] == (digest(made), frozenset({Scope.READ})) and known["feed"][1] == {Scope.READ, Scope.WRITE}
    assert set(tomllib.loads(tokens.read_text())) == {"shop", "feed"}
    with serving(shop, tokens=tokens) as running:
        with Client(running.target, credentials=Credentials.read(token_file=out)) as client:
            assert client.published()
        with Client(running.target) as client, pytest.raises(ServiceError) as caught:
            client.published()
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--name": "known"}, "tokens.toml: has a token 'known' already"),
        ({"--out": "there.token"}, "there.token: File exists"),
        ({"--out": "nowhere/a.token"}, "nowhere/a.token: No such file"),
        ({"--tokens": "nowhere/tokens.toml"}, "nowhere/tokens.toml: No such file"),
        ({"--tokens": "there.token"}, "there.token: is no TOML file"),
        ({"--name": "a b"}, "--name"),
        ({"--name": "x\n[admin]"}, "--name"),
        ({"--scopes": "admin"}, "--scopes"),
        ({"--scopes": ""}, "--scopes"),
    ],
)
def test_duet_token_with_options_that_do_not_go(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.token").write_text("a token")
    assert token(["--name", "known", "--out", "known.token"]) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    options = {"--name": "new", "--out": "new.token", **changed}
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        token([part for pair in options.items() for part in pair])
    assert caught.value.code == 2 and message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
