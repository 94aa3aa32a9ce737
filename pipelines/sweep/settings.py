"""Settings of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import CliPositionalArg

from cluster.settings import Settings


class SweepSettings(Settings):
    """Train and evaluate every recipe with every seed, and put all of them side by side: a whole table at once.

    Each run is what `duet train` and `duet evaluate` make, in OUT/RECIPE-SEED; the comparison lies in OUT/comparison.
    The same command again does what is missing.
    """

    recipes: CliPositionalArg[Annotated[list[Path], Field(min_length=1)]]
    """Recipes of `duet train`, or folders of them. A run is named after its file."""
    manifest: list[str] = Field(min_length=1)
    """Parquet, CSV or JSONL files, folders, globs or s3:// URIs."""
    out: Path
    """Folder for the runs and their comparison."""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0, 1, 2], min_length=1)
    """Every recipe is trained once with each."""
    roots: list[str] = []
    """Folders or s3:// URIs below which the manifest's pictures (image_uri) lie."""
    split: str = "test"
    """What is evaluated; validation while training is always on val."""
    baseline: str | None = None
    """The recipe that the others are compared with; default: the first."""
    jobs: int = Field(default=1, ge=1)
    """Runs at a time; each has its share of the machine's cores."""

    @field_validator("manifest", "roots", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value
