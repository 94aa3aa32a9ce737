"""Pictures that a request names by their location: below declared roots, and nowhere else.

What a client is told does not tell where the roots lie, or what else is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from pipelines.data.locations import find_image, read_image
from pipelines.errors import ImageError, RequestError
from pipelines.search.limits import Limits
from pipelines.search.query import image_limits

T = TypeVar("T")


class Pictures:
    """Reads them.

    Args:
        roots: declared folders, local or ``s3://``; none = no location is read.
        limits: on a picture, and on the text of a location.
    """

    def __init__(self, roots: Sequence[str], limits: Limits) -> None:
        self._roots, self._limits = tuple(roots), limits

    def read(self, uri: str, field: str) -> bytes:
        """The encoded picture at a location. Raises `RequestError`."""
        return self._asked(lambda: read_image(uri, self._roots, image_limits(self._limits)), uri, field)

    def check(self, uri: str, field: str) -> None:
        """Raise `RequestError` unless a picture's file is there; it is not opened."""
        self._asked(lambda: find_image(uri, self._roots), uri, field)

    def _asked(self, ask: Callable[[], T], uri: str, field: str) -> T:
        if len(uri) > self._limits.text_length:
            message = f"a location has at most {self._limits.text_length} characters"
            raise RequestError("TEXT_TOO_LONG", message, field)
        try:
            return ask()
        except ImageError as error:
            raise refusal(error.code, str(error), field) from None
        except (OSError, ValueError):
            raise refusal("NOT_FOUND", "", field) from None


def refusal(code: str, message: str, field: str = "") -> RequestError:
    """What a client is told of a picture that cannot be used.

    Args:
        code: of the `ImageError`.
        message: its text; where that is about a file it has paths of the server, and another one takes its place.
        field: path of the picture in the request.
    """
    if code == "OUTSIDE_ROOTS":
        text = "only pictures below the folders that the server was started with (--roots) are read"
        return RequestError("URI_OUTSIDE_ROOTS", text, field)
    if code == "TOO_LARGE":
        return RequestError("IMAGE_TOO_LARGE", "the picture has more bytes than GetLimits allows", field)
    if code == "NOT_FOUND":
        return RequestError("IMAGE_NOT_FOUND", "there is no picture at that location", field)
    return RequestError(f"IMAGE_{code}", message, field)
