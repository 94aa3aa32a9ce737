"""Page tokens: where the next page begins, in which snapshot, of which request; authenticated, so not forgeable."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from pipelines.errors import RequestError

_MAC_BYTES = 16
_FORM = b"1"  # of what a token carries; tokens outlive the release that issued them


@dataclass(frozen=True)
class PageToken:
    """What a token carries.

    Args:
        snapshot_id: the snapshot that every page is of.
        digest: `SearchRequest.digest`; other arguments with the token are refused.
        offset: hits on the pages before.
    """

    snapshot_id: str
    digest: str
    offset: int


class PageTokens:
    """Issues and reads tokens under one key; tokens of another key are refused."""

    def __init__(self, key: bytes) -> None:
        assert len(key) >= 16
        self._key = key

    def issue(self, token: PageToken) -> str:
        """An opaque text for the client."""
        body = json.dumps(vars(token), separators=(",", ":")).encode()
        return _spell(self._mac(body) + body)

    def read(self, text: str) -> PageToken:
        """What `issue` was given. Raises `RequestError` (``PAGE_TOKEN_INVALID``) for anything else."""
        try:
            raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raw = b""
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        # base64 has several spellings of the same bytes: padding, other signs, bits to spare in the last character.
        if not hmac.compare_digest(mac, self._mac(body)) or text != _spell(raw):
            message = "the page token is damaged, or of another index; ask for the first page again"
            raise RequestError("PAGE_TOKEN_INVALID", message, "page_token")
        return PageToken(**json.loads(body))

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, _FORM + body, hashlib.sha256)[:_MAC_BYTES]


def _spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
