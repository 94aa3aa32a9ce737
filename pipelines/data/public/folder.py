"""The folder of an import: it appears whole or not at all, and replaces no folder but an earlier import's."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import ManifestError

MANIFEST, ROLES, TRIPLETS, REPORT = "manifest.parquet", "roles.parquet", "triplets.parquet", "report.json"


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` if no error occurs.

    Raises:
        ManifestError: `out` is in use, or cannot be written.
    """
    out = Path(os.path.abspath(out))
    _check(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))  # for its owner only,
        new, old = work / "new", work / "old"
        new.mkdir()  # so what `out` becomes is made like any other folder
    except OSError as error:
        raise ManifestError(f"{out}: cannot be written ({error.strerror})") from error
    try:
        yield new
        _check(out)  # an import takes a while
        if out.exists():
            _move(out, old)
        _move(new, out)
    finally:
        if old.exists() and not out.exists():
            _move(old, out)
        shutil.rmtree(work, ignore_errors=True)


def _move(path: Path, to: Path) -> None:
    try:
        path.rename(to)
    except OSError as error:
        raise ManifestError(f"{path}: cannot be moved to {to} ({error.strerror})") from error


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
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(report, dict) and "data_set" in report
