"""Addresses, and which of them cannot be reached from another machine."""

from __future__ import annotations

import ipaddress
import re

_TARGET = re.compile(r"(?P<host>\[[^\[\]]+\]|[^:/\[\]]+):\d+", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself. Of names only ``localhost`` is: any other may resolve to anything."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_target(target: str) -> bool:
    """Whether ``host:port`` is on this machine; other forms of gRPC's targets (``dns:///…``) are held not to be."""
    match = _TARGET.fullmatch(target)
    return match is not None and is_loopback(match["host"].strip("[]"))


def join(host: str, port: int) -> str:
    """``host:port``, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
