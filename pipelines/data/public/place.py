"""The folder that a data set lies in: finding its files, and saying where the set is obtained if one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import ManifestError


@dataclass(frozen=True)
class Place:
    """Where to look.

    Args:
        path: the folder that the user names.
        obtained: where the set is obtained, in words.
    """

    path: Path
    obtained: str

    def file(self, *names: str) -> Path:
        """The first of the files that is there; names are relative to the folder. Raises `ManifestError`."""
        found = self.optional(*names)
        if found is None:
            raise self.missing(*(self.path / name for name in names))
        return found

    def optional(self, *names: str) -> Path | None:
        """As `file`; None if none of them is there."""
        return next((self.path / name for name in names if (self.path / name).is_file()), None)

    def pictures(self, given: Path | None, inner: str, *names: str) -> Path:
        """The folder that the pictures' locations are relative to.

        Args:
            given: by the user; it must be a folder.
            inner: what the locations begin with.
            names: folders to look for `inner` in; if it is in none of them, the first is meant.
        """
        if given is not None:
            if not given.is_dir():
                raise ManifestError(f"{given}: no such folder; --images names the one that the pictures lie in")
            return given
        folders = [self.path / name for name in names]
        return next((folder for folder in folders if (folder / inner).is_dir()), folders[0])

    def missing(self, *paths: Path) -> ManifestError:
        """The error for a file that is at none of the paths."""
        others = ", nor ".join(map(str, paths[1:]))
        also = f" (nor {others})" if others else ""
        return ManifestError(f"{paths[0]}: no such file{also}; the set is obtained from {self.obtained}")
