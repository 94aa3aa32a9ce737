"""Settings of a comparison of generations."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import CliPositionalArg

from cluster.settings import Settings


class GenerationsSettings(Settings):
    """Compare the generations of an index on what is stored in them: what would change if another one were served.

    MAP on labelled items, how many of the nearest items stay the same, which classes and which queries get worse, with
    pictures. Run it before `duet snapshots publish`; ingestion may go on meanwhile.
    """

    generations: CliPositionalArg[list[str]] = []
    """Two names at least, the first the one that the others are compared with; default: the served one and all
    others."""
    index: str
    """Folder or s3:// address of the index."""
    out: Path
    """Folder for compare.md, compare.csv and compare.html."""
    items: int = Field(default=5_000, ge=2)
    """Items that are compared with each other, drawn from those that all generations hold with the same picture:
    labelled ones first."""
    sheets: int = Field(default=2, ge=0)
    """Queries of each attribute that are drawn at random for the contact sheets, and as many that got worse; 0 = no
    sheets."""
    level: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""
    resamples: int = Field(default=2000, ge=100)
    """Draws of the bootstrap."""
    seed: int = Field(default=0, ge=0)
    """Of the draws, and of the choice of items and queries."""

    @field_validator("generations")
    @classmethod
    def _none_or_two(cls, value: list[str]) -> list[str]:
        if len(set(value)) == 1:
            raise ValueError("one generation is nothing to compare: name two at least, or none for all of the index")
        return value
