"""What a user of a cluster can do wrong."""

from __future__ import annotations


class ClusterError(ValueError):
    """A cluster that cannot be reached, or a job that it does not take; says what was tried and what to do."""
