"""Errors of data, index and search; with `model.errors` one tree::

    DuetError (ValueError)
    ├── ManifestError      a manifest, or one row of it: names the file, row and column
    ├── StoreError         an index that is missing, of another encoder, or held by another writer
    ├── ModelError         a model whose vectors cannot be compared with any
    └── RequestError       a search request: `reason` (UPPER_SNAKE), `field` (path in the request)

All are `ValueError`s; the rest of the tree stands in `model.errors`.
"""

from __future__ import annotations

from model.errors import CheckpointError, DuetError, EncoderError, ImageError, TaxonomyError

__all__ = [
    "CheckpointError",
    "DuetError",
    "EncoderError",
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


class ModelError(DuetError):
    """A model that gives vectors with NaN or infinity in them: nothing can be ranked by these."""


class RequestError(DuetError):
    """A request that cannot be answered as it stands.

    Attributes:
        reason: upper-snake, stable; gRPC's ErrorInfo carries it.
        field: path of the field at fault (``manipulations[0].to_class``), or "" for the request as a whole.
    """

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.reason, self.field = reason, field
