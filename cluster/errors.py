"""What a user of a cluster can do wrong."""

from __future__ import annotations

import re

_RUST_SOURCE = re.compile(r", /\S+\.rs:\d+:\d+$")


class ClusterError(ValueError):
    """A cluster that cannot be reached, or a job that it does not take; says what was tried and what to do."""


def first_line(error: Exception) -> str:
    """The first line of what a store says, without the source line of Lance's that it may end in."""
    return _RUST_SOURCE.sub("", str(error).partition("\n")[0])
