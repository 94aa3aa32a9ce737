"""Where the server listens, with what certificate, and whom it lets in: what the settings say, checked."""

from __future__ import annotations

from pathlib import Path

import grpc

from pipelines.errors import DuetError

from ..settings import ServeSettings
from .access import Access
from .addresses import is_loopback, join
from .files import Reread, read_authorities, read_pair
from .scopes import Scope
from .tokens import read_tokens


def access(settings: ServeSettings) -> Access:
    """Who is let in.

    Raises:
        DuetError: the file of tokens cannot be used, or other machines could call without a token or certificate.
    """
    loopback = is_loopback(settings.host)
    if settings.tokens is None:
        if not loopback and settings.tls.client_ca is None:
            raise DuetError(
                f"--host {settings.host} would let everybody in who can reach it: give --tokens FILE (made by "
                "`duet token`), or --tls.client-ca FILE to ask for certificates"
            )
        return Access(None, frozenset(Scope) if loopback else frozenset({Scope.READ}))
    path = settings.tokens
    return Access(Reread(lambda: read_tokens(path), path), frozenset())


def listen(server: grpc.aio.Server, settings: ServeSettings) -> int:
    """Bind the server's port, with TLS where there is a certificate; returns the port.

    Raises:
        DuetError: the address cannot be used, or may not without TLS; certificates or keys cannot be used.
    """
    credentials = _credentials(settings)
    if credentials is None and not is_loopback(settings.host):
        raise DuetError(
            f"--host {settings.host} can be reached from other machines, which needs TLS: give --tls.certificate and "
            "--tls.key, or leave --host at 127.0.0.1"
        )
    address = join(settings.host, settings.port)
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise DuetError(
            f"port {settings.port} cannot be used: something listens there already, or {settings.host} is not an "
            "address of this machine"
        ) from error


def _credentials(settings: ServeSettings) -> grpc.ServerCredentials | None:
    """Certificates that are renewed are picked up by the next connection."""
    tls = settings.tls
    if (tls.certificate is None) != (tls.key is None):
        raise DuetError("--tls.certificate and --tls.key go together: give both, or neither")
    if tls.certificate is None or tls.key is None:
        if tls.client_ca is not None:
            raise DuetError("--tls.client-ca needs a certificate of the server, too: --tls.certificate and --tls.key")
        return None
    certificate, key, client_ca = tls.certificate, tls.key, tls.client_ca

    def read() -> grpc.ServerCertificateConfiguration:
        chain, private = read_pair(certificate, key)
        authorities = None if client_ca is None else read_authorities(client_ca)
        return grpc.ssl_server_certificate_configuration([(private, chain)], authorities)

    files: list[Path] = [path for path in (certificate, key, client_ca) if path is not None]
    configuration = Reread(read, *files)
    return grpc.dynamic_ssl_server_credentials(
        configuration.latest(), configuration.latest, require_client_authentication=client_ca is not None
    )
