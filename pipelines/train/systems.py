"""``duet systems``: what can be trained, by name."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import Field
from rich.console import Console
from rich.table import Table

from cluster.command import command
from cluster.settings import Settings, parse_settings
from model.system import System
from model.systems import SYSTEMS
from pipelines.errors import DuetError

_PROG = "duet systems"


class SystemsSettings(Settings):
    """List the systems that `duet train --encoder.system NAME` knows, with their switches and sources."""

    json_output: bool = Field(default=False, alias="json")
    """Print JSON instead of tables."""


def describe_system(system: System) -> dict[str, object]:
    """A system as plain data."""
    return {
        "name": system.name,
        "about": system.about,
        "source": system.source,
        "heads": list(system.heads),
        "switches": dict(system.switches),
    }


def print_systems(console: Console) -> None:
    """All systems as a table, and their switches as another."""
    table = Table("system", "what it is", "source", box=None, header_style="bold")
    switches = Table("system", "switch", "what it changes", box=None, header_style="bold")
    for system in SYSTEMS.values():
        table.add_row(system.name, system.about, system.source)
        for name, about in system.switches.items():
            switches.add_row(system.name, name, about)
    console.print(table, "", switches, "")
    console.print("duet train --encoder.system NAME --encoder.switches SWITCH …", highlight=False)


@command(_PROG, DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    settings = parse_settings(SystemsSettings, argv, _PROG)
    if settings.json_output:
        print(json.dumps([describe_system(system) for system in SYSTEMS.values()], ensure_ascii=False, indent=2))
    else:
        print_systems(Console())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
