"""What one request may hold: the one object that validation, GetLimits and the documentation share."""

from __future__ import annotations

from dataclasses import dataclass

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
        text_length: characters of an item_id or of a filter's text.
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
