from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import RequestError
from pipelines.search.paging import PageToken, PageTokens

TOKEN = PageToken("s00000001", "ab" * 32, 40)
TOKENS = PageTokens(b"k" * 32)
SIGNS = string.ascii_letters + string.digits + "-_+/= .\n\0é"


def test_reads_what_it_issued() -> None:
    assert TOKENS.read(TOKENS.issue(TOKEN)) == TOKEN


def test_another_key_is_refused() -> None:
    with pytest.raises(RequestError, match="of another index"):
        PageTokens(b"x" * 32).read(TOKENS.issue(TOKEN))


def test_every_flipped_bit_is_noticed() -> None:
    text = TOKENS.issue(TOKEN)
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        with pytest.raises(RequestError) as caught:
            TOKENS.read(base64.urlsafe_b64encode(bytes(changed)).decode().rstrip("="))
        assert (caught.value.reason, caught.value.field) == ("PAGE_TOKEN_INVALID", "page_token")


@pytest.mark.parametrize("snapshot_id", ["s1", "s12", "s123"])  # with 0, 2 and 4 bits to spare in the last character
def test_a_token_has_one_spelling(snapshot_id: str) -> None:
    text = TOKENS.issue(PageToken(snapshot_id, "ab" * 32, 40))
    edited = {text[:n] + sign + text[n + 1 :] for n in range(len(text)) for sign in SIGNS} - {text}
    edited |= {text + more for more in ("=", "==", "====", "A", "\n", " ")} | {text[:n] for n in range(len(text))}
    for other in edited:
        with pytest.raises(RequestError, match="page token is damaged"):
            TOKENS.read(other)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="page token"):
        TOKENS.read(text)
