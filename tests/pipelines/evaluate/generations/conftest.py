from __future__ import annotations

from tests.pipelines.index.conftest import committer, index

__all__ = ["committer", "index"]
