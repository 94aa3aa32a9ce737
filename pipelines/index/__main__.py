"""``duet snapshots``: list what an index has published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from cluster.command import command
from cluster.settings import Settings, parse_settings
from pipelines.errors import DuetError

from .store import Index


class SnapshotsSettings(Settings):
    """List the snapshots of an index, the published one last."""

    action: CliPositionalArg[Literal["list"]] = "list"
    """What to do."""
    index: str
    """Folder or s3:// address of the index."""


@command("duet snapshots", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    settings = parse_settings(SnapshotsSettings, argv, "duet snapshots")
    table = Table("snapshot", "published (UTC)", "generation", "model", "items", "checkpoint")
    for snapshot in Index.open(settings.index).snapshots():
        table.add_row(
            snapshot.snapshot_id,
            f"{snapshot.published_at:%Y-%m-%d %H:%M:%S}",
            snapshot.generation,
            snapshot.model_digest[:12],
            f"{snapshot.items:,}",
            snapshot.checkpoint_uri,
        )
    console = Console()
    console.print(table if table.row_count else "nothing is published yet")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
