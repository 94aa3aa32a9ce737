"""Settings of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import CliPositionalArg

from cluster.settings import Settings

from .published import DataSet


class CompareSettings(Settings):
    """Put evaluations of the same items side by side: tables with intervals, paired differences, charts, pictures."""

    runs: CliPositionalArg[Annotated[list[Path], Field(min_length=1)]]
    """Folders that `duet evaluate --out` wrote; the others are compared with the first. Runs of one system (of several
    seeds) make one row."""
    out: Path
    """Folder for compare.md, compare.csv and compare.html."""
    each: bool = False
    """A row for every run, also where several are of one system."""
    published: DataSet | None = None
    """The data set that was evaluated, if it is this one: adds what the papers report for it."""
    sheets: int = Field(default=1, ge=0)
    """Queries of each attribute that are drawn at random for the contact sheets, and as many where the systems differ
    most; 0 = no sheets."""
    level: float = Field(default=0.95, gt=0, lt=1)
    """Of the intervals."""
    resamples: int = Field(default=2000, ge=100)
    """Draws of the bootstrap."""
    seed: int = Field(default=0, ge=0)
    """Of the draws, and of the choice of queries."""
