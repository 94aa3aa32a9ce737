from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.index.committer import Committer
from pipelines.index.lease import Lease
from pipelines.index.store import Index

from .support import checkpoint


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """An empty index."""
    return Index.create(tmp_path / "index")


@pytest.fixture
def committer(index: Index) -> Iterator[Committer]:
    """A committer of an empty generation."""
    with Lease(index.uri) as lease:
        yield Committer(index, index.create_generation(checkpoint(), "/checkpoint"), lease)
