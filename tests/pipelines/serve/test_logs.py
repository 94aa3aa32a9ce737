"""The log as it is written, and what is never in it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from pipelines.errors import RequestError, StoreError
from pipelines.rpc.duet.v1 import catalog_pb2, catalog_pb2_grpc, filter_pb2, search_pb2, search_pb2_grpc
from pipelines.serve import logs
from pipelines.serve.client import Client
from pipelines.serve.logs import AccessLog, JsonFormatter, TextFormatter
from pipelines.serve.observing import Call
from pipelines.serve.settings import ServeSettings

from .shop import Shop, item_id, make_shop, picture, serving
from .test_interceptor import TRACE
from .watchers import Ended, until

LINE = {"time", "level", "logger", "message"}


@contextlib.contextmanager
def logged(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """What is logged within, at the levels of ``--log-level debug``."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root, own = logging.getLogger(), logging.getLogger("duet")
    before = root.level, own.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    own.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        own.setLevel(before[1])


def lines(stream: io.StringIO, logger: str = "duet.access") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in found if line["logger"] == logger]


SECRETS = ["Zq7-secret-", "88776655"]
LEFT_OUT = ((), ("snapshot", "page_token"), ("snapshot", "page_token", "image", "filter"))


def filled(message: Message, but: Sequence[str] = (), depth: int = 0) -> Message:
    """A message with a secret in every field, whatever it means, but for those of some names."""
    for field in message.DESCRIPTOR.fields:
        if field.name in but:
            continue
        if field.containing_oneof is not None and message.WhichOneof(field.containing_oneof.name):
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth == 3:
                continue
            there = getattr(message, field.name)
            if field.message_type.GetOptions().map_entry:
                continue
            inner = there.add() if field.is_repeated else there
            inner.SetInParent()
            filled(inner, but, depth + 1)
            continue
        value: Any = {
            # What a caller calls a call: the audit line says it, so that both can find it again.
            FieldDescriptor.TYPE_STRING: "call" if field.name == "request_id" else f"{SECRETS[0]}{field.name}",
            FieldDescriptor.TYPE_BYTES: f"{SECRETS[0]}{field.name}".encode(),
            FieldDescriptor.TYPE_BOOL: True,
            FieldDescriptor.TYPE_ENUM: 1,
        }.get(field.type, int(SECRETS[1]))
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


def requests() -> list[tuple[str, str, Message]]:
    """Service, method and filled request of every RPC that takes one message; and requests that come further."""
    found: list[tuple[str, str, Message]] = []
    for module, name in ((search_pb2, "SearchService"), (catalog_pb2, "CatalogService")):
        for method in module.DESCRIPTOR.services_by_name[name].methods:
            if method.client_streaming:
                continue
            kind = getattr(module, method.input_type.name)
            found += [(name, method.name, filled(kind(), but)) for but in LEFT_OUT]
    secret = f"{SECRETS[0]}value"
    by_item = search_pb2.SearchRequest(item_id=secret)
    by_filter = search_pb2.SearchRequest(item_id=item_id(1))
    by_filter.filter.comparison.column = "brand"
    by_filter.filter.comparison.operator = filter_pb2.COMPARISON_OPERATOR_EQUAL
    by_filter.filter.comparison.value.string_value = secret
    by_class = search_pb2.SearchRequest(
        attributes=[search_pb2.AttributeCondition(attribute="colour", classes=[secret])]
    )
    truncated = search_pb2.SearchRequest(image=picture(3)[:-40] + secret.encode())
    found += [("SearchService", "Search", one) for one in (by_item, by_filter, by_class, truncated)]
    found += [
        ("CatalogService", "GetItem", catalog_pb2.GetItemRequest(name=f"items/{secret}")),
        ("CatalogService", "GetSnapshot", catalog_pb2.GetSnapshotRequest(name=f"snapshots/{secret}")),
        ("SearchService", "Embed", search_pb2.EmbedRequest(image=picture(3))),
        ("SearchService", "Search", search_pb2.SearchRequest(item_id=item_id(3))),
    ]
    return found


def ask_everything(target: str) -> int:
    """All requests, with a token in their metadata; how many there were."""
    asked = requests()
    token = (("authorization", f"Bearer {SECRETS[0]}token"), ("traceparent", f"{SECRETS[0]}trace"))
    with grpc.insecure_channel(target) as channel:
        stubs: dict[str, Any] = {
            "SearchService": search_pb2_grpc.SearchServiceStub(channel),
            "CatalogService": catalog_pb2_grpc.CatalogServiceStub(channel),
        }
        for service, method, request in asked:
            with contextlib.suppress(grpc.RpcError):
                getattr(stubs[service], method)(request, metadata=token, timeout=20)
    return len(asked)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()], ids=["json", "text"])
@pytest.mark.parametrize("damaged", [False, True], ids=["", "damaged index"])
def test_nothing_of_a_request_is_logged(
    shop: Shop, tmp_path: Path, formatter: logging.Formatter, damaged: bool
) -> None:
    own, ended = make_shop(tmp_path, 5, like=shop), Ended()
    with logged(formatter) as stream, serving(own, observers=[ended]) as running:
        with Client(running.target) as client:
            client.published()  # loaded
        count = len(ended.calls)
        if damaged:
            for folder in Path(own.index.uri).iterdir():
                shutil.rmtree(folder / "data", ignore_errors=True)
        asked = ask_everything(running.target)
        until(lambda: len(ended.calls) >= count + asked)
    text = stream.getvalue()
    assert text.count("GetItem") >= 4 and ("Search failed" in text) is damaged
    for secret in (
        *SECRETS,
        item_id(3),
        item_id(1),
        "it's a",
        str(picture(3)[:20])[2:-1],
        b64encode(picture(3)).decode()[:20],
    ):
        assert secret not in text


def test_a_request_is_a_line(shop: Shop) -> None:
    ended = Ended()
    with logged(JsonFormatter()) as stream, serving(shop, observers=[ended]) as running:
        with Client(running.target) as client:
            client.published()
        with grpc.insecure_channel(running.target) as channel, pytest.raises(grpc.RpcError):
            search_pb2_grpc.SearchServiceStub(channel).Search(
                search_pb2.SearchRequest(item_id="none such"), metadata=(("traceparent", f"00-{TRACE}-{'b' * 16}-00"),)
            )
        until(lambda: ended.calls[-1].name == "Search")
    line = lines(stream)[-1]
    assert line["message"] == f"Search NOT_FOUND ITEM_NOT_FOUND in {line['milliseconds']:.1f} ms"
    assert {name: line[name] for name in ("level", "method", "code", "reason", "trace_id")} == {
        "level": "info",
        "method": "Search",
        "code": "NOT_FOUND",
        "reason": "ITEM_NOT_FOUND",
        "trace_id": TRACE,
    }
    assert set(line) == LINE | {"method", "code", "reason", "milliseconds", "trace_id"}
    assert line["time"].endswith("+00:00") and 0 < line["milliseconds"] < 20_000


def test_a_failed_search_of_a_batch_is_a_line(shop: Shop) -> None:
    asked = [search_pb2.SearchRequest(item_id=one) for one in (item_id(1), "none such")]
    requests = [search_pb2.BatchSearchRequest(search=one) for one in asked]
    with logged(JsonFormatter()) as stream, serving(shop) as running:
        with Client(running.target) as client:
            client.published()
        with grpc.insecure_channel(running.target) as channel:
            trace = (("traceparent", f"00-{TRACE}-{'b' * 16}-00"),)
            assert (
                len(list(search_pb2_grpc.SearchServiceStub(channel).BatchSearch(iter(requests), metadata=trace))) == 2
            )
    (line,) = [one for one in lines(stream) if one["method"] == "BatchSearch" and one["level"] != "debug"]
    assert line["message"] == "a search of BatchSearch NOT_FOUND ITEM_NOT_FOUND"
    assert {name: line[name] for name in set(line) - LINE} == {
        "method": "BatchSearch",
        "code": "NOT_FOUND",
        "reason": "ITEM_NOT_FOUND",
        "trace_id": TRACE,
    }


@pytest.mark.parametrize(
    ("code", "share", "level"),
    [
        ("OK", 0.0, logging.DEBUG),
        ("OK", 0.6, logging.INFO),
        ("INVALID_ARGUMENT", 0.0, logging.INFO),
        ("CANCELLED", 0.0, logging.INFO),
        ("RESOURCE_EXHAUSTED", 0.0, logging.WARNING),
        ("DEADLINE_EXCEEDED", 0.0, logging.WARNING),
        ("INTERNAL", 0.0, logging.ERROR),
        ("DATA_LOSS", 0.0, logging.ERROR),
        ("UNKNOWN", 0.0, logging.ERROR),
    ],
)
def test_answered_requests_are_sampled_and_failed_ones_are_not(
    code: str, share: float, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "duet.access")
    call = Call("duet.v1.SearchService/Search", code=grpc.StatusCode[code], seconds=0.0125)
    AccessLog(share, chance=lambda: 0.5).call_ended(call)
    (record,) = caplog.records
    assert (record.levelno, record.message) == (level, f"Search {code} in 12.5 ms")


def fail(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except (RuntimeError, ValueError) as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "withheld", "whole"),
    [
        (StoreError("item 'it\\'s \"a' has 0 rows of \"it's b\""), "item … has 0 rows of …", None),
        (StoreError("the index' table has no item 'secret-7' there"), "the index' table has no item … there", None),
        (StoreError("no item b'secret-7' there"), "no item b… there", None),
        (ValueError("near 'secret'"), "ValueError", "near 'secret'"),
        (OSError(28, "No space left on device", "/data/secret"), "OSError: No space left on device", None),
    ],
    ids=["ours", "apostrophe", "bytes", "foreign", "the system's"],
)
def test_texts_of_errors_are_shown_as_far_as_they_cannot_quote(
    error: Exception, withheld: str, whole: str | None
) -> None:
    for formatter, text in ((JsonFormatter(), withheld), (JsonFormatter(details=True), whole or str(error))):
        with logged(formatter) as stream:
            logging.getLogger("duet.serve").error("%s failed: %s", "Search", error)
        assert lines(stream, "duet.serve")[0]["message"] == f"Search failed: {text}"


@pytest.mark.parametrize("details", [False, True])
def test_a_traceback_has_its_causes_and_no_texts(details: bool) -> None:
    error = fail(RuntimeError("secret one"), fail(RequestError("TOO_MANY", "secret 'two'")))
    with logged(JsonFormatter(details)) as stream:
        logging.getLogger("duet.serve").error("failed", exc_info=error)
        try:
            raise KeyError("secret three")
        except KeyError:
            logging.getLogger("duet.serve").exception("failed")
    first, second = (line["error"].splitlines() for line in lines(stream, "duet.serve"))
    expected = (
        ["RequestError: secret 'two'", "RuntimeError: secret one"]
        if details
        else ["RequestError: secret …", "RuntimeError"]
    )
    assert [line for line in first if not line.startswith("  ")] == expected
    assert all(" in fail" in line and __file__ in line for line in first if line.startswith("  "))
    assert second[-1] == ("KeyError: 'secret three'" if details else "KeyError")


def test_a_line_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with logged(JsonFormatter()) as stream:
        logging.getLogger("duet.serve").info("two\nlines\x1b[31m")
    (text,) = stream.getvalue().splitlines()
    assert json.loads(text)["message"] == "two\nlines\x1b[31m" and "\x1b" not in text


def test_other_libraries_do_not_debug_into_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    before = root.level, logging.getLogger("duet").level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        logs.start_log(ServeSettings(index="here", log_level="debug", log_format="json"))
        logging.getLogger("asyncio").debug("secret")
        logging.getLogger("duet.access").debug("seen")
        assert [line["message"] for line in map(json.loads, stream.getvalue().splitlines())] == ["seen"]
    finally:
        root.setLevel(before[0])
        logging.getLogger("duet").setLevel(before[1])


def test_what_is_not_offered_is_refused() -> None:
    for wrong in ({"log_format": "xml"}, {"log_sample": 1.5}, {"traces": "localhost:4317"}, {"metrics_port": -1}):
        with pytest.raises(ValueError):
            ServeSettings(index="here", **wrong)


@pytest.mark.slow
def test_the_process_logs_json_and_shows_metrics(shop: Shop) -> None:
    command = [sys.executable, "-m", "pipelines.serve", "--index", shop.index.uri, "--port", "0"]
    command += ["--metrics-port", "0", "--log-format", "json", "--log-level", "debug"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = process.stdout.readline().strip().removeprefix("listening at 127.0.0.1:")
    metrics = process.stdout.readline().strip()
    with Client(f"127.0.0.1:{port}") as client:
        assert client.search(item_id=item_id(3)).hits
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and output == "draining\n"
    assert metrics.startswith("metrics at http://127.0.0.1:") and metrics.endswith("/metrics")
    found = [json.loads(line) for line in errors.splitlines()]
    assert any(line["message"].startswith("serving snapshot") for line in found)
    assert any(line.get("method") == "Search" and line["code"] == "OK" for line in found)
