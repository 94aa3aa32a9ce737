"""What an ingestion did: the closing table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.table import Table

from .chunk import Action
from .report import STAGES, Report


@dataclass(frozen=True)
class IngestSummary:
    """Counts of items, and where they lie.

    Args:
        new, changed, relabelled, unchanged, refused: items of the manifest by what was done with them; *relabelled*
            ones have the picture that was indexed, and were updated without the encoder.
        unchanged_refused: items that were refused in an earlier run for the same reason; nothing was done for them.
        deleted: items that were taken out.
        absent: items to delete that were not there.
        superseded: rows that a later row with the same id overruled.
        refusals: refused items by code; the table ``dead_letters`` says which.
        ignored_attributes: label columns that the encoder does not know.
        seconds: by stage; workers that ran side by side count each. ``total`` is the wall clock's.
        items_per_second: encoded items from the first receipt to the last commit, when all workers had started; 0 if
            there was but one receipt.
        index: where it lies.
        generation: whose tables; "" where all are meant.
        snapshot_id: what is published; None for a dry run, and where another generation is served.
        dry_run: whether nothing was written.
        beside: what was done in the other generations.
    """

    index: str
    new: int = 0
    changed: int = 0
    relabelled: int = 0
    unchanged: int = 0
    refused: int = 0
    unchanged_refused: int = 0
    deleted: int = 0
    absent: int = 0
    superseded: int = 0
    refusals: Mapping[str, int] = field(default_factory=dict)
    ignored_attributes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    items_per_second: float = 0.0
    generation: str = ""
    snapshot_id: str | None = None
    dry_run: bool = False
    beside: tuple[IngestSummary, ...] = ()

    @classmethod
    def of(
        cls,
        report: Report,
        index: str,
        total: float,
        items_per_second: float,
        *,
        generation: str,
        snapshot_id: str | None = None,
        ignored_attributes: tuple[str, ...] = (),
        dry_run: bool = False,
    ) -> IngestSummary:
        """The sum of a run's reports, which took `total` seconds in all."""
        return cls(
            index,
            new=report.actions[Action.NEW],
            changed=report.actions[Action.CHANGED],
            relabelled=report.actions[Action.RELABELLED],
            unchanged=report.actions[Action.UNCHANGED],
            refused=report.actions[Action.REFUSED],
            unchanged_refused=report.actions[Action.UNCHANGED_REFUSED],
            superseded=report.superseded,
            refusals=dict(report.refusals),
            ignored_attributes=ignored_attributes,
            seconds={**{name: report.seconds[name] for name in STAGES if name in report.seconds}, "total": total},
            items_per_second=items_per_second,
            generation=generation,
            snapshot_id=snapshot_id,
            dry_run=dry_run,
        )

    def table(self) -> Table:
        """For people."""
        title = "Dry run: what would happen" if self.dry_run else "Ingestion"
        table = Table("", "", title=title, show_header=False)
        for name in ("new", "changed", "relabelled", "unchanged", "refused", "deleted", "absent", "superseded"):
            count = getattr(self, name)
            if count or name in ("new", "changed", "unchanged", "deleted", "refused", "relabelled"):
                table.add_row(f"{name} items" if name != "superseded" else "rows with a later duplicate", f"{count:,}")
        if self.unchanged_refused:
            table.add_row("refused before, still the same", f"{self.unchanged_refused:,}")
        for code, count in sorted(self.refusals.items()):
            table.add_row(f"  refused: {code}", f"{count:,}")
        if self.ignored_attributes:
            table.add_row("labels the encoder does not know", ", ".join(self.ignored_attributes))
        for stage, seconds in self.seconds.items():
            table.add_row(f"seconds: {stage}", f"{seconds:.1f}")
        if self.items_per_second:
            table.add_row("encoded items per second", f"{self.items_per_second:.1f}")
        table.add_row("index", self.index)
        if self.generation:
            table.add_row("generation", self.generation)
        if not self.dry_run:
            unpublished = f"not published; duet snapshots publish {self.generation} switches to this generation"
            table.add_row("snapshot", self.snapshot_id or unpublished)
        return table
