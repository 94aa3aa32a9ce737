from __future__ import annotations

from pathlib import Path

import pytest

from .support import Oracle, write_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained encoder's checkpoint."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "encoder")


@pytest.fixture(scope="session")
def oracle(checkpoint: Path) -> Oracle:
    return Oracle.of(checkpoint)
