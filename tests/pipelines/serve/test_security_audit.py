"""The audit log: one line for every call that may change something, and nothing in it that should not be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from pipelines.errors import DuetError
from pipelines.serve.security import audit
from pipelines.serve.security.scopes import Scope

from .abuse import invalid, outcome
from .guarded import CATALOG, METHODS, SEARCH, TOKENS, Fate, Request, call, fine, guarded, tokens_file
from .watchers import until

SECRET_ID, PICTURE = "dress-4711", b"\x89PNG picture bytes"
WRITING = METHODS[Scope.WRITE]


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.message) for record in caplog.records if record.name == "duet.audit"]


def request(request_id: str = "r-1") -> Any:
    return Request(request_id=request_id, item_ids=[SECRET_ID, "b"], image=PICTURE)


async def ask(
    tokens: Path | None, kind: str, path: str, token: str, *requests: Any, fate: Fate = fine, everybody: bool = False
) -> None:
    """A call, whatever becomes of it, and the end of its server."""
    scopes = tuple(Scope) if everybody else ()
    async with guarded(tokens, everybody=scopes, fate=fate) as target, grpc.aio.insecure_channel(target) as channel:
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call(channel, kind, path, token, *requests)


async def abort(context: grpc.aio.ServicerContext) -> None:
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, SECRET_ID)


async def set_code(context: grpc.aio.ServicerContext) -> None:
    context.set_code(grpc.StatusCode.ABORTED)


async def crash(_: grpc.aio.ServicerContext) -> None:
    raise RuntimeError(SECRET_ID)


@pytest.mark.parametrize("kind", WRITING)
@pytest.mark.parametrize(
    ("token", "fate", "who", "code"),
    [
        ("writer", fine, "writer", "OK"),
        ("both", fine, "both", "OK"),
        ("writer", abort, "writer", "FAILED_PRECONDITION"),
        ("writer", set_code, "writer", "ABORTED"),
        ("writer", crash, "writer", "UNKNOWN"),
        ("reader", fine, "reader", "PERMISSION_DENIED"),
        ("wrong", fine, "anonymous", "UNAUTHENTICATED"),
        ("", fine, "anonymous", "UNAUTHENTICATED"),
    ],
)
def test_a_line_for_every_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, token: str, fate: Fate, who: str, code: str
) -> None:
    secret = TOKENS[token][0] if token in TOKENS else "x" * 40 if token else ""
    asyncio.run(ask(tokens_file(tmp_path), kind, f"/{CATALOG}/{WRITING[kind]}", secret, request(), fate=fate))
    (line,) = lines_of(caplog)
    read = code not in ("PERMISSION_DENIED", "UNAUTHENTICATED")
    now = datetime.now(UTC)
    assert now - timedelta(minutes=1) < datetime.fromisoformat(line.pop("time")) <= now
    assert line.pop("peer").startswith("ipv4:127.0.0.1:")
    assert line == {
        "method": f"{CATALOG}/{WRITING[kind]}",
        "who": who,
        "known_by": "" if who == "anonymous" else "token",
        "code": code,
        "request_id": "r-1" if read else "",
        "items": 2 if read else 0,
    }
    (text,) = [record.message for record in caplog.records if record.name == "duet.audit"]
    assert not any(part in text for part in (SECRET_ID, "PNG", "\n", *([secret] if secret else [])))


@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
def test_items_of_a_stream_add_up_under_its_first_request_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    sent = [Request(image=PICTURE), *(request(f"r-{n}") for n in range(3))]
    asyncio.run(ask(tokens_file(tmp_path), kind, f"/{CATALOG}/{WRITING[kind]}", TOKENS["writer"][0], *sent))
    (line,) = lines_of(caplog)
    assert (line["items"], line["request_id"], line["code"]) == (6, "r-0", "OK")


@pytest.mark.parametrize("kind", WRITING)
def test_a_call_that_is_cancelled_has_its_line(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    begun = asyncio.Event()

    async def hang(_: grpc.aio.ServicerContext) -> None:
        begun.set()
        await asyncio.sleep(60)

    async def cancel() -> None:
        path = f"/{CATALOG}/{WRITING[kind]}"
        async with (
            guarded(tokens_file(tmp_path), fate=hang) as target,
            grpc.aio.insecure_channel(target) as channel,
        ):
            calling = asyncio.create_task(call(channel, kind, path, TOKENS["writer"][0], request()))
            await asyncio.wait_for(begun.wait(), 10)
            calling.cancel()
            for _ in range(500):
                if lines_of(caplog):
                    return
                await asyncio.sleep(0.01)

    asyncio.run(cancel())
    (line,) = lines_of(caplog)
    assert (line["code"], line["items"], line["who"]) == ("CANCELLED", 2, "writer")


@pytest.mark.parametrize("kind", WRITING)
def test_without_tokens_the_caller_is_anonymous(caplog: pytest.LogCaptureFixture, kind: str) -> None:
    asyncio.run(ask(None, kind, f"/{CATALOG}/{WRITING[kind]}", "", request(), everybody=True))
    (line,) = lines_of(caplog)
    assert (line["who"], line["known_by"], line["code"]) == ("anonymous", "", "OK")


def test_reading_and_methods_that_are_not_there_leave_no_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = tokens_file(tmp_path)
    for kind, method in METHODS[Scope.READ].items():
        asyncio.run(ask(tokens, kind, f"/{SEARCH}/{method}", TOKENS["reader"][0]))
    for token in ("reader", "writer"):
        asyncio.run(ask(tokens, "unary_unary", f"/{CATALOG}/DropEverything", TOKENS[token][0]))
    assert lines_of(caplog) == []


@pytest.mark.parametrize("method", ["DeleteItems", "PublishSnapshot", "UpsertItems"])
def test_damaged_bytes_have_their_line(channel: grpc.Channel, caplog: pytest.LogCaptureFixture, method: str) -> None:
    assert outcome(channel, method, b"\xff\xff\xff") == invalid("MESSAGE_INVALID")
    until(lambda: bool(lines_of(caplog)))
    (line,) = lines_of(caplog)
    assert (line["method"], line["code"]) == (f"{CATALOG}/{method}", "INVALID_ARGUMENT")
    assert (line["who"], line["request_id"], line["items"]) == ("anonymous", "", 0)


def test_a_request_id_is_one_line_and_not_long(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = request("a\n{}\u202e" + "x" * 10_000)
    asyncio.run(ask(tokens_file(tmp_path), "unary_unary", f"/{CATALOG}/DeleteItems", TOKENS["writer"][0], asked))
    (text,) = [record.message for record in caplog.records if record.name == "duet.audit"]
    assert text.isascii() and "\n" not in text and len(text) < 400
    assert json.loads(text)["request_id"].startswith("a\n{}\u202exxx")


@pytest.fixture
def unchanged_log() -> Iterator[logging.Logger]:
    log = logging.getLogger("duet.audit")
    before = list(log.handlers)
    yield log
    for handler in set(log.handlers) - set(before):
        log.removeHandler(handler)
        handler.close()
    log.propagate = True


def test_lines_in_a_file_of_their_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, unchanged_log: logging.Logger
) -> None:
    path, rotated = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    audit.append_to(path)
    for _ in range(2):
        asyncio.run(ask(None, "unary_unary", f"/{CATALOG}/DeleteItems", "", request(), everybody=True))
    path.rename(rotated)
    asyncio.run(ask(None, "unary_unary", f"/{CATALOG}/DeleteItems", "", request(), everybody=True))
    counts = [len([json.loads(line) for line in file.read_text().splitlines()]) for file in (rotated, path)]
    assert counts == [2, 1] and lines_of(caplog) == []
    with pytest.raises(DuetError, match=r"--audit /nowhere/audit: No such file"):
        audit.append_to(Path("/nowhere/audit"))
