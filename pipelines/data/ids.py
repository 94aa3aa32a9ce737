"""What an item's id may be."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

ID_LIMIT = 512
_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, halves of characters


def id_fault(item_id: str) -> str | None:
    """Why a text cannot be an item's id; None if it can.

    Args:
        item_id: in NFC.
    """
    if not item_id.strip():
        return "is empty"
    if len(item_id) > ID_LIMIT or _IMPOSSIBLE.search(item_id):
        return f"must have at most {ID_LIMIT} characters, none of them a control character"
    return None


def first_bad_id(ids: pa.Array) -> int | None:
    """Position of the first text that cannot be an item's id, or is null; None if there is none.

    Args:
        ids: text in NFC.
    """
    bad = pc.or_(
        pc.fill_null(pc.equal(pc.utf8_trim_whitespace(ids), ""), True),
        pc.fill_null(
            pc.or_(pc.greater(pc.utf8_length(ids), ID_LIMIT), pc.match_substring_regex(ids, r"\p{Cc}")), False
        ),
    )
    position: int = pc.index(bad, True).as_py()
    return None if position < 0 else position
