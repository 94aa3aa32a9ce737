"""The folder of an import: it appears whole or not at all, and replaces no folder but an earlier import's."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import ManifestError

MANIFEST, ROLES, TRIPLETS, REPORT = "manifest.parquet", "roles.parquet", "triplets.parquet", "report.json"


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` if no error occurs. Raises `ManifestError` if `out` is in use."""
    out = Path(os.path.abspath(out))
    _check(out)
    temporary, old = (out.with_name(f".{out.name}.{kind}.{os.getpid()}") for kind in ("new", "old"))
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise ManifestError(f"{out}: cannot be written ({error.strerror})") from error
    try:
        yield temporary
        _check(out)  # an import takes a while
        if out.exists():
            out.rename(old)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not out.exists():
            old.rename(out)
        shutil.rmtree(old, ignore_errors=True)


def _check(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ManifestError(f"{out}: is not a folder; an import is written into one of its own")
    if out.is_dir() and any(out.iterdir()) and not _is_import(out):
        raise ManifestError(f"{out}: holds something else than an earlier import; name another folder")


def _is_import(out: Path) -> bool:
    if {path.name for path in out.iterdir()} - {MANIFEST, ROLES, TRIPLETS, REPORT}:
        return False
    try:
        report = json.loads((out / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and "data_set" in report
