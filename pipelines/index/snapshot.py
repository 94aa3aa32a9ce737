"""Snapshots: published, immutable sets of table versions; the only thing that readers see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from model.preparation import ImagePreparation
from model.taxonomy import Taxonomy

from .generation import Generation
from .naming import ITEMS
from .schema import SNAPSHOTS_SCHEMA

# The last row: whoever publishes takes it out and puts it back, so that of two who read the same, one is refused.
IS_SENTINEL = pc.field("snapshot_id") == ""


@dataclass(frozen=True)
class Snapshot:
    """A row of ``snapshots``, with what its generation says.

    Args:
        snapshot_id: ``s`` and eight digits; later ones are greater.
        generation: name of the generation.
        sequence: high-water mark of the items' `sequence`: how fresh it is.
        versions: table name -> version.
        counts: table name -> rows, without the sentinel.
        model_digest: of the checkpoint that embeds queries for it.
        checkpoint_uri: where that checkpoint lies.
        published_at: in UTC.
        fresh_at: in UTC; what was handed in before this time is in it, in the way that published it (by manifests, a
            watched folder or topic, or RPCs). None where that is not known, as in the middle of a long ingestion.
        checks: what the gate measured (`pipelines.index.gate`), by check.
        taxonomy: attributes and classes of the encoder.
        preparation: of pictures, before the encoder.
        width: D of attribute embeddings.
        class_width: D' of class embeddings; None where there is no class level.
        global_width: r of global embeddings; None where there are none.
    """

    snapshot_id: str
    generation: str
    sequence: int
    versions: Mapping[str, int]
    counts: Mapping[str, int]
    model_digest: str
    checkpoint_uri: str
    published_at: datetime
    fresh_at: datetime | None
    checks: Mapping[str, float]
    taxonomy: Taxonomy
    preparation: ImagePreparation
    width: int
    class_width: int | None
    global_width: int | None

    @property
    def items(self) -> int:
        """Number of items."""
        return self.counts[ITEMS]

    @classmethod
    def from_row(cls, row: Mapping[str, Any], generation: Generation) -> Snapshot:
        """Read a row of ``snapshots``."""
        assert row["generation"] == generation.name
        return cls(
            row["snapshot_id"],
            row["generation"],
            row["sequence"],
            {entry["table"]: entry["version"] for entry in row["tables"]},
            {entry["table"]: entry["rows"] for entry in row["tables"]},
            row["model_digest"],
            row["checkpoint_uri"],
            row["published_at"],
            row["fresh_at"],
            {entry["check"]: entry["value"] for entry in row["checks"]},
            generation.taxonomy,
            generation.preparation,
            generation.width,
            generation.class_width,
            generation.global_width,
        )

    def to_row(self) -> pa.Table:
        """The row of ``snapshots``."""
        row = {
            "snapshot_id": self.snapshot_id,
            "generation": self.generation,
            "sequence": self.sequence,
            "tables": [
                {"table": table, "version": version, "rows": self.counts[table]}
                for table, version in self.versions.items()
            ],
            "model_digest": self.model_digest,
            "checkpoint_uri": self.checkpoint_uri,
            "published_at": self.published_at,
            "fresh_at": self.fresh_at,
            "checks": [{"check": name, "value": value} for name, value in self.checks.items()],
        }
        return pa.Table.from_pylist([row], schema=SNAPSHOTS_SCHEMA)


def sentinel_snapshot() -> pa.Table:
    """The row that is no snapshot."""
    row = {"snapshot_id": "", "generation": "", "sequence": 0, "tables": [], "model_digest": "", "checkpoint_uri": ""}
    row |= {"published_at": datetime.fromtimestamp(0, UTC), "checks": []}
    return pa.Table.from_pylist([row], schema=SNAPSHOTS_SCHEMA)
