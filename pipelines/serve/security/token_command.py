"""``duet token``: make a token, and let the server know its digest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from cluster.command import command
from cluster.settings import Settings, parse_settings
from pipelines.errors import DuetError

from .files import read_file
from .tokens import NAME, digest, new_token, read_tokens


class TokenSettings(Settings):
    """Make a token for callers of `duet serve`: the token into a file of its own, its digest among the server's tokens.

    To take a token back, remove its section from the server's file; a running server follows within a second.
    """

    name: str = Field(pattern=rf"^{NAME.pattern}$")
    """Whose token it is, as the audit log will say."""
    scopes: tuple[Literal["read", "write"], ...] = Field(("read",), min_length=1)
    """What it allows: read, write, or read,write."""
    tokens: Path = Path("tokens.toml")
    """The server's file of tokens; it is made if there is none."""
    out: Path
    """New file for the token, which only its owner may read."""


@command("duet token", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    settings = parse_settings(TokenSettings, argv, "duet token")
    if settings.tokens.exists() and settings.name in {token.name for token in read_tokens(settings.tokens)}:
        raise DuetError(
            f"{settings.tokens}: has a token {settings.name!r} already; remove it first, or choose another name"
        )
    token = new_token()
    scopes = sorted(set(settings.scopes))
    _write_token(settings.out, token)
    try:
        _append(settings.tokens, settings.name, digest(token), scopes)
    except DuetError:
        settings.out.unlink()  # nobody knows it
        raise
    print(f"{settings.name} may {' and '.join(scopes)} with the token in {settings.out}")
    return 0


def _write_token(path: Path, token: str) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{token}\n")
    except OSError as error:
        raise DuetError(f"--out {path}: {error.strerror}") from error


def _append(path: Path, name: str, sha256: str, scopes: Sequence[str]) -> None:
    """Put a new file in the place of the old one: a server may be reading."""
    before = read_file(path).decode() if path.exists() else ""
    quoted = ", ".join(f'"{scope}"' for scope in scopes)
    section = f'[{name}]\nsha256 = "{sha256}"\nscopes = [{quoted}]\n'
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(f"{before.rstrip()}\n\n{section}" if before.strip() else section)
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except OSError as error:
        raise DuetError(f"--tokens {path}: {error.strerror}") from error


if __name__ == "__main__":
    raise SystemExit(main())
