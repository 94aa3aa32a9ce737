"""Every reason that an answer of this server can give, so that there is an end to what metrics are kept of."""

from __future__ import annotations

REASONS = frozenset(
    {
        "CHECKPOINT_UNREADABLE",
        "CLASS_REQUIRED",
        "CLASS_UNEXPECTED",
        "CONTRADICTION",
        "DUPLICATE_ATTRIBUTE",
        "DUPLICATE_CLASS",
        "DUPLICATE_ITEM",
        "ENUM_UNKNOWN",
        "FILTER_INVALID",
        "FILTER_TOO_LARGE",
        "FILTER_TYPE",
        "IMAGE_EMPTY",
        "IMAGE_NOT_FOUND",
        "IMAGE_TOO_LARGE",
        "IMAGE_TOO_MANY_PIXELS",
        "IMAGE_TRUNCATED",
        "IMAGE_UNSUPPORTED_FORMAT",
        "INDEX_BUSY",
        "INDEX_CONFLICT",
        "INDEX_DAMAGED",
        "INTERNAL",
        "ITEMS_REQUIRED",
        "ITEM_ID_INVALID",
        "ITEM_NOT_FOUND",
        "MESSAGE_INVALID",
        "METADATA_TYPE",
        "MODEL_FAILED",
        "NAME_INVALID",
        "NOT_A_CANDIDATE",
        "NOT_MULTI_LABEL",
        "NOT_READY",
        "NO_GLOBAL_SPACE",
        "NO_PROTOTYPE",
        "OVERLOADED",
        "PAGE_SIZE_NEGATIVE",
        "PAGE_TOKEN_INVALID",
        "PAGE_TOKEN_MISMATCH",
        "PICTURE_REQUIRED",
        "PUBLICATION_REFUSED",
        "QUERY_AMBIGUOUS",
        "QUERY_REQUIRED",
        "REPLICA_LOST",
        "REQUEST_ID_REUSED",
        "SCOPE_MISSING",
        "SNAPSHOT_EXPIRED",
        "SNAPSHOT_NOT_FOUND",
        "STOPPED",
        "TEXT_TOO_LONG",
        "TOKEN_MISSING",
        "TOKEN_UNKNOWN",
        "TOO_MANY",
        "TOO_MANY_BYTES",
        "UNKNOWN_ATTRIBUTE",
        "UNKNOWN_CLASS",
        "UNKNOWN_COLUMN",
        "URI_OUTSIDE_ROOTS",
        "VALUE_INVALID",
        "WEIGHT_INVALID",
    }
)
OTHER = "OTHER"


def bounded(reason: str) -> str:
    """The reason, or `OTHER` for one that is not known here."""
    return reason if reason in REASONS else OTHER
