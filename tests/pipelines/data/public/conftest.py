"""A folder for a tree."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty folder, in one that is empty but for it."""
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"
