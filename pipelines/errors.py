"""Errors of data, index and search; with `model.errors` one tree::

    DuetError (ValueError)
    ├── ManifestError      a manifest, or one row of it: names the file, row and column
    ├── StoreError         an index that is missing, damaged, or of another encoder
    │   ├── BusyError      another process writes to it: nothing was begun
    │   ├── ConflictError  another process changed it meanwhile: what was begun may be done or not
    │   └── GateError      what was to be published is not fit for it: what was published stands
    ├── ModelError         a model whose vectors cannot be compared with any
    └── RequestError       a search request: `reason` (UPPER_SNAKE), `field` (path in the request)

All are `ValueError`s; the rest of the tree stands in `model.errors`.
"""

from __future__ import annotations

from model.errors import CheckpointError, DuetError, EncoderError, ImageError, TaxonomyError

__all__ = [
    "BusyError",
    "CheckpointError",
    "ConflictError",
    "DuetError",
    "EncoderError",
    "GateError",
    "ImageError",
    "ManifestError",
    "ModelError",
    "RequestError",
    "StoreError",
    "TaxonomyError",
]


class ManifestError(DuetError):
    """A manifest, or a row of it, that cannot be used."""


class StoreError(DuetError):
    """An index that is missing, damaged, made by another encoder, or held by another writer."""


class BusyError(StoreError):
    """Another process writes to the index; nothing was begun."""


class ConflictError(StoreError):
    """Another process changed the index meanwhile; what was begun may be done or not. It can be tried again."""


class GateError(StoreError):
    """What was to be published is not fit for it; what was published stands.

    Args:
        message: what happened, and where.
        why: alone, without the index's address, which strangers are not told.
    """

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why


class ModelError(DuetError):
    """A model that gives vectors with NaN or infinity in them, zero or of another width: nothing is ranked by these."""


class RequestError(DuetError):
    """A request that cannot be answered as it stands.

    Attributes:
        reason: upper-snake, stable; gRPC's ErrorInfo carries it.
        field: path of the field at fault (``manipulations[0].to_class``), or "" for the request as a whole.
    """

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.reason, self.field = reason, field

    def below(self, path: str) -> RequestError:
        """The same error of a part of a larger request: fields begin with the part's path."""
        return RequestError(self.reason, str(self), f"{path}.{self.field}" if self.field else path)
