"""Options that the import of every data set has."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import CliPositionalArg

from cluster.settings import Settings


class ImportSettings(Settings):
    """Turn the files of a public data set, as its makers lay them out, into a manifest."""

    path: CliPositionalArg[Path]
    """Folder of the data set."""
    out: Path
    """Folder for manifest.parquet, report.json and, where the set has them, roles.parquet and triplets.parquet; an
    earlier import there is replaced."""
    images: Path | None = None
    """Folder that the pictures' locations are relative to; default: where the set's own layout has them."""
    check_images: bool = True
    """Leave out items whose picture is not there."""
    copy_images: bool = False
    """Put the pictures' bytes into the manifest, which then needs no --roots."""
