"""A message of a topic: what it says of which item, or why it is refused.

Nobody can mend a message, so one that a manifest would not take must not get into one: the manifest would be refused
whole, and with it all that comes after.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipelines.data.ids import id_fault
from pipelines.data.schemas import normal_name
from pipelines.errors import ManifestError


def key_id(key: bytes) -> str:
    """The item's id that a message's key is. Raises `ManifestError` if it is none."""
    try:
        return _checked(key.decode(), "key")
    except UnicodeDecodeError as error:
        raise ManifestError(f"key: not UTF-8 text ({error.reason})") from error


def row_id(row: Mapping[str, Any]) -> str:
    """The id that a row of a message without a key has. Raises `ManifestError` if it has none."""
    value = row.get("item_id")
    if value is None:
        raise ManifestError("field 'item_id': is missing, and the message has no key")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ManifestError(f"field 'item_id': is {type(value).__name__}; an id is text or an integer")
    return _checked(str(value), "field 'item_id'")


def value_row(value: bytes | None) -> dict[str, Any]:
    """The JSON object in a message's value. Raises `ManifestError` if there is none."""
    if value is None:
        raise ManifestError("value: there is none, and no key of an item to delete")
    try:
        row = json.loads(value)
    except (ValueError, RecursionError) as error:  # of the encoding, too
        raise ManifestError(f"value: not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise ManifestError(f"value: is {type(row).__name__}, not a JSON object")
    return row


def _checked(text: str, where: str) -> str:
    item_id = normal_name(text)
    fault = id_fault(item_id)
    if fault:
        raise ManifestError(f"{where}: {fault}")
    return item_id
