"""What one request may hold: the one object that validation, GetLimits and the documentation share."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from pipelines.errors import RequestError

DEFAULT_PAGE_SIZE = 10


@dataclass(frozen=True)
class Limits:
    """Caps on one request; more is refused, except a page size, which is lowered.

    Args:
        image_bytes: of the encoded picture.
        image_pixels: width times height, as the picture's header states it.
        page_size: hits of one page.
        attribute_conditions: conditions of one request.
        classes_per_condition: wanted and excluded classes of one condition together.
        manipulations: changes of one request.
        filter_nodes: comparisons, memberships and connectives of one filter together.
        filter_depth: levels of one filter.
        filter_values: values of one membership.
        text_length: characters of an item_id, of a name, or of a text among metadata and in filters.
        batch_searches: searches of one batch that are under way at once.
        changed_items: items of one upsert or deletion.
        changed_bytes: of one upsert, with its pictures.
        idle_seconds: within which the next message of an upsert must be there, whole.
    """

    image_bytes: int = 20_000_000
    image_pixels: int = 50_000_000
    page_size: int = 1000
    attribute_conditions: int = 32
    classes_per_condition: int = 64
    manipulations: int = 16
    filter_nodes: int = 64
    filter_depth: int = 16
    filter_values: int = 1000
    text_length: int = 512
    batch_searches: int = 16
    changed_items: int = 1000
    changed_bytes: int = 200_000_000
    idle_seconds: float = 60.0


def read_name(text: str, limits: Limits, path: str) -> str:
    """An id or a name of a request in NFC, as the index has them. Raises `RequestError` (``TEXT_TOO_LONG``)."""
    if len(text) > limits.text_length:  # first: a hostile megabyte takes minutes to bring to NFC
        raise RequestError("TEXT_TOO_LONG", f"an id or a name has at most {limits.text_length} characters", path)
    return unicodedata.normalize("NFC", text)


def check_count(count: int, limit: int, path: str) -> None:
    """Raises `RequestError` (``TOO_MANY``) for more entries than the limit."""
    if count > limit:
        raise RequestError("TOO_MANY", f"{path} has {count} entries; at most {limit}", path)
