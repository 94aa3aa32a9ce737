"""What the tables of abuse share: calls by a method's name, their outcome as one row, and the guard of sockets."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from pipelines.rpc.duet.v1 import catalog_pb2, search_pb2

from .shop import item_id

FILTER: dict[str, Any] = {"column": "price", "operator": 3, "value": {"int_value": 5}}
METHODS = {
    method.name: method
    for service in (*search_pb2.DESCRIPTOR.services_by_name.values(), *catalog_pb2.DESCRIPTOR.services_by_name.values())
    for method in service.methods
}


@dataclass(frozen=True)
class Outcome:
    """How a call ended: the canonical status, ErrorInfo's reason, BadRequest's field; the last two of Duet's own."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    field: str = ""


OK = Outcome()


def invalid(reason: str, field: str = "") -> Outcome:
    return Outcome(grpc.StatusCode.INVALID_ARGUMENT, reason, field)


def not_found(reason: str, field: str) -> Outcome:
    return Outcome(grpc.StatusCode.NOT_FOUND, reason, field)


def call(channel: grpc.Channel, method: str, request: bytes | Message, **options: Any) -> Any:
    """The answer of a method to a message or to whatever bytes; where it takes or gives streams, they are of one."""
    descriptor = METHODS[method]
    data = request if isinstance(request, bytes) else request.SerializeToString()
    answer = function_of(channel, descriptor)(
        iter([data]) if descriptor.client_streaming else data, timeout=options.pop("timeout", 60), **options
    )
    return list(answer) if descriptor.server_streaming else answer


def function_of(channel: grpc.Channel, method: MethodDescriptor) -> Callable[..., Any]:
    """What calls a method of any kind with the bytes of its requests."""
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    path = f"/{method.containing_service.full_name}/{method.name}"
    return getattr(channel, kind)(path, None, GetMessageClass(method.output_type).FromString)


def outcome_of(error: grpc.RpcError) -> Outcome:
    """The outcome that a call was refused with; with BadRequest there is just the one field, and its text is short."""
    status = rpc_status.from_call(error)
    if status is None:
        return Outcome(error.code())
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info) and info.domain == "duet" and info.reason
    assert len(status.message.encode()) <= 600
    field = ""
    if len(status.details) > 1 and status.details[1].Unpack(bad):
        (violation,) = bad.field_violations
        field = violation.field
        assert field
    return Outcome(error.code(), info.reason, field)


def outcome(channel: grpc.Channel, method: str, request: bytes | Message, **options: Any) -> Outcome:
    """How a call ended."""
    try:
        call(channel, method, request, **options)
    except grpc.RpcError as error:
        return outcome_of(error)
    return OK


@contextmanager
def loopback_only() -> Iterator[list[str]]:
    """Nothing of this process may leave loopback; what tried to is raised where it tried, and listed.

    Sockets of Python are stopped before they connect, send or look up a name. gRPC's core is C and passes this by: for
    it, and for any other library in C, the kernel's tables are read at the end, which show what is open then, not what
    was opened and closed before.
    """
    tried: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, place in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name), place, tried))
        patch.setattr(socket, "getaddrinfo", _guarded_lookup(socket.getaddrinfo, tried))
        yield tried
    tried += foreign_connections()
    assert not tried, f"left loopback: {tried}"


def foreign_connections() -> list[str]:
    """Peers of this process's open sockets that are not on loopback."""
    inodes = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue  # the listing's own
        if target.startswith("socket:["):
            inodes.add(target[len("socket:[") : -1])
    peers = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = Path("/proc/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            columns = line.split()
            own, address = (_address(column.split(":")[0]) for column in columns[1:3])
            # Ray, which other tests leave running in this process, talks to itself at this machine's own address.
            if columns[9] in inodes and not is_local(address) and address != own:
                peers.append(f"{table} {address}")
    return peers


def asked(**fields: Any) -> search_pb2.SearchRequest:
    """A search by an item that there is."""
    return search_pb2.SearchRequest(item_id=item_id(1), **fields)


def is_local(host: str) -> bool:
    """Whether an address is this machine's loopback, or none at all (a socket that listens has no peer)."""
    address = ipaddress.ip_address(host.split("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def _address(text: str) -> str:
    """An address as the kernel writes it: words of 32 bits, in the machine's order of bytes."""
    words = [int(text[start : start + 8], 16).to_bytes(4, "little") for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _guarded(function: Callable[..., Any], place: int, tried: list[str]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        address = arguments[place]
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _named_local(address[0]):
            tried.append(f"{function.__name__} {address}")
            raise AssertionError(f"{function.__name__} to {address} leaves loopback")
        return function(self, *arguments)

    return guarded


def _guarded_lookup(function: Callable[..., Any], tried: list[str]) -> Callable[..., Any]:
    def guarded(host: Any, *arguments: Any, **named: Any) -> Any:
        if host is not None and not _named_local(host):
            tried.append(f"getaddrinfo {host!r}")
            raise AssertionError(f"a look-up of {host!r} leaves loopback")
        return function(host, *arguments, **named)

    return guarded


def _named_local(host: Any) -> bool:
    host = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return host in ("", "localhost") or is_local(host)
    except ValueError:
        return False  # a name, which would have to be looked up
