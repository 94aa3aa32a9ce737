"""Errors of the model: what a user of an encoder can do wrong.

The exception tree of the house has ``ValueError`` as its root, since every one of these is a value that a
user gave and can mend::

    ValueError
    ├── DuetError                     everything below names the file, row or field and what to do
    │   ├── TaxonomyError             attributes or classes that contradict each other
    │   ├── ImageError                a picture that cannot be used (``code`` says why)
    │   ├── EncoderError              an encoder's settings, or an input it cannot take
    │   ├── CheckpointError           a checkpoint that is missing, damaged or of another kind
    │   └── …                         pipelines/errors.py adds the errors of data, index and search
    └── pydantic.ValidationError      a setting out of its range (cluster/settings.py)

Own invariants are ``assert``s and are no part of this tree.
"""

from __future__ import annotations


class DuetError(ValueError):
    """Root of all errors that a user can mend."""


class TaxonomyError(DuetError):
    """A taxonomy that contradicts itself, or a label that it does not know."""


class ImageError(DuetError):
    """A picture that cannot be used.

    Attributes:
        code: upper-snake reason (``TRUNCATED``, ``TOO_MANY_PIXELS``, …), stable, for dead letters and gRPC.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (self.code, str(self))


class EncoderError(DuetError):
    """An encoder's settings are impossible, or its input has a shape that it cannot take."""


class CheckpointError(DuetError):
    """A checkpoint is missing, damaged, or made by another kind of encoder."""
