"""Files of certificates, keys and tokens: read, checked, and read again when they change."""

from __future__ import annotations

import logging
import ssl
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pipelines.errors import DuetError

T = TypeVar("T")

LOOK_SECONDS = 1.0

log = logging.getLogger("duet.serve")


class Reread(Generic[T]):
    """What files hold, read again after one of them has changed: another file in its place, size or time of change.

    What cannot be used is logged, and what was read before stays.

    Args:
        read: makes the value; raises `DuetError` where a file cannot be used.
        paths: of the files that it reads.
        seconds: between two looks at them.

    Raises:
        DuetError: the first reading failed.
    """

    def __init__(self, read: Callable[[], T], *paths: Path, seconds: float = LOOK_SECONDS) -> None:
        self._read, self._paths, self._seconds = read, paths, seconds
        self._state = self._look()  # before reading: what changes meanwhile is read once more
        self._value = read()
        self._next_look = time.monotonic() + seconds

    def latest(self) -> T:
        """The value of the files as they were at the last look."""
        now = time.monotonic()
        if now < self._next_look:
            return self._value
        self._next_look = now + self._seconds
        state = self._look()
        if state != self._state:
            self._state = state
            try:
                self._value = self._read()
            except DuetError as error:
                log.error("%s; what was read before stays in force", error)
            else:
                log.info("read again: %s", ", ".join(map(str, self._paths)))
        return self._value

    def _look(self) -> list[tuple[int, ...] | None]:
        return [_state(path) for path in self._paths]


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # The last one changes with its mode and owner, too, which is how what cannot be used is often mended.
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises `DuetError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DuetError(f"{path}: {error.strerror}") from error


def mode_of(path: Path) -> int:
    """Who may do what with a file, as `stat` has it. Raises `DuetError`."""
    try:
        return path.stat().st_mode
    except OSError as error:
        raise DuetError(f"{path}: {error.strerror}") from error


def read_secret(path: Path) -> bytes:
    """The bytes of a file that holds a secret. Raises `DuetError` also where every user of the machine may read it."""
    secret = read_file(path)
    if mode_of(path) & stat.S_IROTH:
        raise DuetError(f"{path}: every user of this machine may read this secret; chmod o-rwx it")
    return secret


def read_authorities(path: Path) -> bytes:
    """Certificates of authorities, PEM. Raises `DuetError`."""
    pem = read_file(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:  # the latter of an empty file
        raise DuetError(f"{path}: holds no certificate in PEM form ({error})") from error
    return pem


def read_pair(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """A certificate with those that signed it, and its private key, PEM. Raises `DuetError`."""
    pair = read_authorities(certificate), read_secret(key)

    def no_password() -> str:
        raise DuetError(f"{key}: is encrypted with a password; give one that is not, which only its owner may read")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise DuetError(f"{key}: is not the key of the certificate {certificate}") from error
        raise DuetError(f"{key}: holds no private key in PEM form ({error.reason or error})") from error
    return pair
