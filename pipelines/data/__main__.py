"""``duet data``: describe a manifest, write its taxonomy, import a public data set, draw the demo wardrobe."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console

from cluster.command import command
from cluster.settings import Settings, fail, parse_settings
from pipelines.errors import DuetError

from .describe import describe
from .describe_text import print_description
from .manifest import Manifest
from .public.command import import_command
from .taxonomy import build_taxonomy, save_taxonomy
from .wardrobe import write_wardrobe

_PROG = "duet data"


class _ManifestSettings(Settings):
    manifest: CliPositionalArg[list[str]]
    """Parquet, CSV or JSONL files, patterns or folders; local or s3://."""
    roots: list[str] = []
    """Folders (or s3:// prefixes) below which pictures named by image_uri lie."""
    attributes: list[str] | None = None
    """Columns that are attributes; default: all columns of lists of text."""

    def open(self) -> Manifest:
        """The manifest that is meant."""
        return Manifest.open(self.manifest, roots=self.roots, attributes=self.attributes)


class DescribeSettings(_ManifestSettings):
    """Print what a manifest holds (rows, splits, attributes, classes, metadata) and what is wrong with it."""

    all: bool = False
    """Decode every picture, not a sample."""
    sample: Annotated[int, Field(ge=1)] = 1000
    """How many pictures are decoded, spread evenly over the rows."""
    json_output: Annotated[bool, Field(alias="json")] = False
    """Print JSON instead of tables."""


class TaxonomySettings(_ManifestSettings):
    """Write the taxonomy (attributes and classes) that a manifest's labels make, as JSON."""

    out: Path
    """The file to write."""
    ignore: list[str] = []
    """Attributes to leave out."""
    min_count: Annotated[int, Field(ge=1)] = 1
    """A class that fewer rows carry is left out."""


class WardrobeSettings(Settings):
    """Draw the demo wardrobe: garments with known labels, as one Parquet manifest with splits."""

    out: Path
    """The Parquet file to write."""
    items: Annotated[int, Field(ge=1)] = 4000
    """How many garments. 70 % are of the train split, 10 % of val, 20 % of test."""
    seed: Annotated[int, Field(ge=0)] = 0
    """The same seed draws the same wardrobe, and a longer one begins with a shorter one."""
    size: Annotated[int, Field(ge=16, le=4096)] = 96
    """Height and width of the pictures, pixels."""
    missing: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Share of the train split's labels that are left empty, that is, unknown."""


def _describe(argv: Sequence[str], prog: str) -> None:
    settings = parse_settings(DescribeSettings, argv, prog)
    description = describe(settings.open(), sample=None if settings.all else settings.sample)
    if settings.json_output:
        print(json.dumps(description.to_json(), ensure_ascii=False, indent=2))
    else:
        print_description(description, Console())


def _taxonomy(argv: Sequence[str], prog: str) -> None:
    settings = parse_settings(TaxonomySettings, argv, prog)
    taxonomy = build_taxonomy(settings.open(), ignore=settings.ignore, min_count=settings.min_count)
    save_taxonomy(settings.out, taxonomy)
    print(f"{settings.out}: {len(taxonomy.names)} attributes, {taxonomy.class_count} classes")


def _wardrobe(argv: Sequence[str], prog: str) -> None:
    settings = parse_settings(WardrobeSettings, argv, prog)
    write_wardrobe(settings.out, settings.items, settings.seed, settings.size, settings.missing)
    print(f"{settings.out}: {settings.items:,} garments")


_COMMANDS = {"describe": _describe, "taxonomy": _taxonomy, "import": import_command, "wardrobe": _wardrobe}
_USAGE = f"""usage: {_PROG} COMMAND [options]

commands:
  describe MANIFEST…            what a manifest holds and what is wrong with it
  taxonomy MANIFEST… --out F    write its attributes and classes as JSON
  import NAME PATH --out F      turn a public data set into a manifest
  wardrobe --out F              draw the demo wardrobe, with labels

{_PROG} COMMAND --help tells a command's options."""


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or [""]
    if name in ("", "-h", "--help"):
        print(_USAGE, file=sys.stdout if name else sys.stderr)
        return 0 if name else 2
    if name not in _COMMANDS:
        fail(_PROG, f"no command {name!r}; there are {', '.join(_COMMANDS)}")
    _COMMANDS[name](rest, f"{_PROG} {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
