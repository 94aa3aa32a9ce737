"""``duet snapshots``: list what an index has published, switch what is served, remove what is not needed any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import model_validator
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from cluster.command import command
from cluster.memory import limit_memory
from cluster.settings import Settings, parse_settings
from pipelines.errors import DuetError

from .gate import GateSettings
from .lease import Lease
from .publish import PublishSettings
from .retention import RetentionSettings
from .snapshot import Snapshot
from .store import Index
from .switch import publish_generation, retire_generation, roll_back
from .upkeep import UpkeepSettings


class SnapshotsSettings(Settings):
    """List the snapshots and generations of an index, or change which is served.

    `list` shows them, the served one last. `publish GENERATION` serves another generation, from one search to the next;
    `rollback [SNAPSHOT]` serves an earlier snapshot again (by default the last one before that no rollback took back)
    and takes its generation's tables back to it; `retire GENERATION` removes one that is not served, with its files.
    """

    action: CliPositionalArg[Literal["list", "publish", "rollback", "retire"]] = "list"
    """What to do."""
    name: CliPositionalArg[str] = ""
    """Of the generation or the snapshot."""
    index: str
    """Folder or s3:// address of the index."""
    upkeep: UpkeepSettings = UpkeepSettings()
    """When tables are compacted and indices built and extended, before they are published."""
    gate: GateSettings = GateSettings()
    """What refuses a publication."""
    retention: RetentionSettings = RetentionSettings()
    """Which snapshots stay readable."""

    @model_validator(mode="after")
    def _name_where_it_is_needed(self) -> SnapshotsSettings:
        if self.action in ("publish", "retire") and not self.name:
            raise ValueError(f"`{self.action}` needs the name of a generation; `duet snapshots list` has them")
        if self.action == "list" and self.name:
            raise ValueError(f"`list` takes no name (given: {self.name!r})")
        return self


@command("duet snapshots", DuetError)
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    settings = parse_settings(SnapshotsSettings, argv, "duet snapshots")
    limit_memory()
    index = Index.open(settings.index)
    if settings.action == "list":
        _list(index)
        return 0
    publishing = PublishSettings(upkeep=settings.upkeep, gate=settings.gate, retention=settings.retention)
    with Lease(index.uri) as lease:
        if settings.action == "publish":
            _tell(publish_generation(index, lease, settings.name, publishing))
        elif settings.action == "rollback":
            _tell(roll_back(index, lease, settings.name or None, publishing))
        else:
            retire_generation(index, lease, settings.name)
            print(f"generation {settings.name} is removed")
    return 0


def _tell(snapshot: Snapshot) -> None:
    print(f"{snapshot.snapshot_id} of generation {snapshot.generation} is served: {snapshot.items:,} items")


def _list(index: Index) -> None:
    snapshots = index.snapshots()
    table = Table("snapshot", "published (UTC)", "fresh at (UTC)", "generation", "items", "checkpoint")
    for snapshot in snapshots:
        table.add_row(
            snapshot.snapshot_id,
            f"{snapshot.published_at:%Y-%m-%d %H:%M:%S}",
            f"{snapshot.fresh_at:%Y-%m-%d %H:%M:%S}" if snapshot.fresh_at else "",
            snapshot.generation,
            f"{snapshot.items:,}",
            snapshot.checkpoint_uri,
        )
    console = Console()
    console.print(table if table.row_count else "nothing is published yet")
    published = {snapshot.generation for snapshot in snapshots}
    for generation in index.generations():
        if generation.name not in published:
            console.print(f"generation {generation.name} is not published: {generation.checkpoint_uri}")


if __name__ == "__main__":
    raise SystemExit(main())
