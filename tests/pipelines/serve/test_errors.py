"""What clients are told of each error: code, reason, and nothing of where things lie on the server."""

from __future__ import annotations

import grpc
import pytest

from pipelines.errors import (
    BusyError,
    CheckpointError,
    ConflictError,
    GateError,
    ImageError,
    ManifestError,
    ModelError,
    StoreError,
)
from pipelines.serve.errors import code_of, read_details, to_status
from pipelines.serve.pictures import refusal

PLACE = "/srv/secret"
SAYS = f"table {PLACE}/index/items.lance at version 7: no such file"


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (StoreError(SAYS), "DATA_LOSS", "INDEX_DAMAGED"),
        (BusyError(SAYS), "UNAVAILABLE", "INDEX_BUSY"),
        (ConflictError(SAYS), "ABORTED", "INDEX_CONFLICT"),
        (
            GateError(f"{PLACE}: of 8 items 1 is left", "of 8 items 1 is left"),
            "FAILED_PRECONDITION",
            "PUBLICATION_REFUSED",
        ),
        (ModelError("the prototype of class 'red' is zero"), "INTERNAL", "MODEL_FAILED"),
        (CheckpointError(SAYS), "FAILED_PRECONDITION", "CHECKPOINT_UNREADABLE"),
        (ManifestError(SAYS), "INTERNAL", "INTERNAL"),
        (FileNotFoundError(2, "No such file", PLACE), "INTERNAL", "INTERNAL"),
        (KeyError(PLACE), "INTERNAL", "INTERNAL"),
        (ImageError("TRUNCATED", "the PNG file is cut short"), "INVALID_ARGUMENT", "IMAGE_TRUNCATED"),
    ],
)
def test_each_error(error: Exception, code: str, reason: str) -> None:
    status = to_status(error)
    assert (code_of(status.code), read_details(status)[0]) == (grpc.StatusCode[code], reason)
    assert status.message and PLACE not in str(status)


def test_a_refused_publication_is_told_why() -> None:
    error = GateError(SAYS, "of 8 items 1 is left")
    assert to_status(error).message == f"nothing is published, and what was published stands: {error.why}"


@pytest.mark.parametrize(
    ("code", "reason"),
    [("OUTSIDE_ROOTS", "URI_OUTSIDE_ROOTS"), ("NOT_FOUND", "IMAGE_NOT_FOUND"), ("TOO_LARGE", "IMAGE_TOO_LARGE")],
)
def test_of_a_file_it_is_not_told_where_it_was_looked_for(code: str, reason: str) -> None:
    error = refusal(code, f"'a.png' is not found below {PLACE}", "image_uri")
    assert (error.reason, error.field) == (reason, "image_uri") and PLACE not in str(error)


def test_of_a_picture_it_is_told_what_is_wrong() -> None:
    error = refusal("TRUNCATED", "the PNG file is cut short")
    assert (error.reason, str(error), error.field) == ("IMAGE_TRUNCATED", "the PNG file is cut short", "")
