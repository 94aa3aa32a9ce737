"""Bearer tokens: who may do what, from a TOML file of their digests.

    [shop]
    sha256 = "5f0e…"
    scopes = ["read"]

    [feed]
    sha256 = "91bc…"
    scopes = ["read", "write"]

The file holds digests, so whoever reads it, or a backup of it, cannot call. One round of SHA-256 is enough: `new_token`
makes 256 random bits, which nobody guesses however fast the digest is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import stat
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from cluster.settings import Section
from pipelines.errors import DuetError

from .files import mode_of, read_file
from .scopes import Scope

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # also TOML's keys that need no quotes


@dataclass(frozen=True)
class Token:
    """A token that is known; not the token itself.

    Args:
        name: for the audit log.
        sha256: of the token, in lower-case hexadecimal digits.
        scopes: what it allows.
    """

    name: str
    sha256: str
    scopes: frozenset[Scope]


class _Entry(Section):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the token, in lower-case hexadecimal digits."""
    scopes: frozenset[Scope] = Field(min_length=1)
    """What it allows."""


_FILE = TypeAdapter(dict[str, _Entry])


def new_token() -> str:
    """A token that nobody has."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """SHA-256 of a token, in hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def find(tokens: Sequence[Token], presented: str) -> Token | None:
    """The token that was presented, or None; takes as long whichever it is, and whether or not it is one."""
    found, presented_digest = None, digest(presented)
    for token in tokens:
        if hmac.compare_digest(token.sha256, presented_digest):
            found = token
    return found


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file; none at all if it is empty, and then nobody is let in.

    Raises:
        DuetError: the file cannot be read, is not as it should be, or anybody may write to it.
    """
    try:
        entries = _FILE.validate_python(tomllib.loads(read_file(path).decode()))
    except ValidationError as error:
        # Without the value: where a digest should be, someone may have put the token.
        fault = error.errors()[0]
        raise DuetError(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise DuetError(f"{path}: is no TOML file: {error}") from None
    if mode_of(path) & stat.S_IWOTH:
        raise DuetError(f"{path}: every user of this machine may add tokens to it; chmod o-w it")
    tokens = tuple(Token(name, entry.sha256, entry.scopes) for name, entry in entries.items())
    for name in entries:
        if not NAME.fullmatch(name):
            raise DuetError(f"{path}: {name!r}: a name has up to 64 letters, digits, - and _")
    if len({token.sha256 for token in tokens}) < len(tokens):
        raise DuetError(f"{path}: two names have the same token; make one for each")
    return tokens
