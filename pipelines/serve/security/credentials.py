"""What a client shows a server, and whom it believes: the client's side of TLS and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from pipelines.errors import DuetError

from .addresses import is_loopback_target
from .files import read_authorities, read_pair, read_secret

Options = Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Credentials:
    """A client's credentials, all PEM; none at all: plaintext, and nobody in particular.

    Args:
        ca: certificates of the authorities that may vouch for the server; with them the connection is TLS.
        certificate: of the client, with those that signed it.
        key: of that certificate.
        token: that every call brings; over TLS, or to this machine itself.

    Raises:
        DuetError: a part is missing that another one needs.
    """

    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if bool(self.certificate) != bool(self.key):
            raise DuetError("a client's certificate and its key go together: give both, or neither")
        if self.certificate and not self.ca:
            raise DuetError("a client's certificate is for TLS: give the server's authority (ca), too")

    @classmethod
    def read(
        cls,
        *,
        ca: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        token_file: Path | None = None,
    ) -> Credentials:
        """Credentials from files. Raises `DuetError` for one that cannot be used."""
        pair = (b"", b"")
        if certificate is not None and key is not None:
            pair = read_pair(certificate, key)
        elif certificate is not None or key is not None:
            raise DuetError(f"{certificate or key}: a certificate and its key go together; give both, or neither")
        token = "" if token_file is None else _read_token(token_file)
        return cls(b"" if ca is None else read_authorities(ca), *pair, token)

    def channel(self, target: str, options: Options = ()) -> grpc.Channel:
        """A connection for threads. Raises `DuetError` rather than send the token where others may read it."""
        credentials, options = self._of(target), [*options, *self._options()]
        if credentials is None:
            return grpc.insecure_channel(target, options)
        return grpc.secure_channel(target, credentials, options)

    def aio_channel(self, target: str, options: Options = ()) -> grpc.aio.Channel:
        """A connection for an event loop. Raises `DuetError` as `channel` does."""
        credentials, options = self._of(target), [*options, *self._options()]
        if credentials is None:
            return grpc.aio.insecure_channel(target, options)
        return grpc.aio.secure_channel(target, credentials, options)

    def _of(self, target: str) -> grpc.ChannelCredentials | None:
        if self.ca:
            channel = grpc.ssl_channel_credentials(self.ca, self.key or None, self.certificate or None)
        elif not self.token:
            return None
        elif not is_loopback_target(target):
            raise DuetError(
                f"the token would go to {target} in clear, where others may read it: give the server's authority "
                "(--ca FILE, or Credentials(ca=…)) for TLS"
            )
        else:
            # Plaintext, but gRPC itself makes sure that the other end is this machine: localhost is only a name.
            channel = grpc.local_channel_credentials(grpc.LocalConnectionType.LOCAL_TCP)
        if not self.token:
            return channel
        # Not per call, which is 0.2 ms faster: what has the channel cannot forget the token.
        return grpc.composite_channel_credentials(channel, grpc.access_token_call_credentials(self.token))

    def _options(self) -> list[tuple[str, Any]]:
        # A proxy on this machine would carry a plaintext token on to another one.
        return [] if self.ca or not self.token else [("grpc.enable_http_proxy", 0)]


def _read_token(path: Path) -> str:
    token = read_secret(path).decode("utf-8", "replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise DuetError(f"{path}: should hold one token and nothing else; make one with `duet token`")
    return token
