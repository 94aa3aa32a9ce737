"""Generations: everything that one encoder embedded, in tables of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from model.checkpoint import Checkpoint
from model.preparation import ImagePreparation
from model.taxonomy import Taxonomy

from .naming import PROTOTYPES
from .schema import GENERATIONS_SCHEMA, prototypes_schema, table_schemas


@dataclass(frozen=True)
class Generation:
    """A row of ``generations``.

    Args:
        name: 16 hex digits, the identity of (model, image preparation, taxonomy).
        model_digest: of the checkpoint.
        checkpoint_uri: where the checkpoint lay when the generation was created.
        taxonomy: attributes and classes that the encoder knows.
        preparation: of pictures, before the encoder.
        width: D of attribute embeddings.
        class_width: D' of class embeddings; None without a class level.
        global_width: r of global embeddings; None without a global head.
        created_at: in UTC.
        retired: whether its tables are being removed.
    """

    name: str
    model_digest: str
    checkpoint_uri: str
    taxonomy: Taxonomy
    preparation: ImagePreparation
    width: int
    class_width: int | None
    global_width: int | None
    created_at: datetime
    retired: bool = False

    @classmethod
    def of(cls, checkpoint: Checkpoint, checkpoint_uri: str) -> Generation:
        """The generation that a checkpoint makes."""
        return cls(
            generation_name(checkpoint.digest, checkpoint.preparation, checkpoint.taxonomy),
            checkpoint.digest,
            checkpoint_uri,
            checkpoint.taxonomy,
            checkpoint.preparation,
            checkpoint.encoder.width,
            checkpoint.encoder.class_width,
            checkpoint.head.width if checkpoint.head is not None else None,
            datetime.now(UTC),
        )

    @cached_property
    def committed_tables(self) -> tuple[str, ...]:
        """The tables that commits change, in their order: ``items`` last."""
        return tuple(table for table in self.tables if table != PROTOTYPES)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """All tables."""
        return tuple(self.schemas())

    def schemas(self, metadata: tuple[pa.Field, ...] = ()) -> dict[str, pa.Schema]:
        """Table name -> schema, with these metadata columns of ``items``."""
        return table_schemas(
            self.taxonomy,
            self.width,
            class_width=self.class_width,
            global_width=self.global_width,
            metadata=metadata,
        )

    def to_row(self) -> pa.Table:
        """The row of ``generations``."""
        row = {
            "generation": self.name,
            "model_digest": self.model_digest,
            "checkpoint_uri": self.checkpoint_uri,
            "taxonomy": json.dumps(self.taxonomy.to_json(), ensure_ascii=False),
            "preparation": json.dumps(self.preparation.to_json()),
            "width": self.width,
            "class_width": self.class_width,
            "global_width": self.global_width,
            "created_at": self.created_at,
            "retired": self.retired,
        }
        return pa.Table.from_pylist([row], schema=GENERATIONS_SCHEMA)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Generation:
        """Read a row of ``generations``."""
        return cls(
            row["generation"],
            row["model_digest"],
            row["checkpoint_uri"],
            Taxonomy.from_json(json.loads(row["taxonomy"])),
            ImagePreparation(**json.loads(row["preparation"])),
            row["width"],
            row["class_width"],
            row["global_width"],
            row["created_at"],
            row["retired"],
        )


def generation_name(model_digest: str, preparation: ImagePreparation, taxonomy: Taxonomy) -> str:
    """The name of the generation of an encoder: 16 hex digits."""
    return hashlib.sha256(f"{model_digest}/{preparation.digest}/{taxonomy.digest}".encode()).hexdigest()[:16]


def prototype_rows(checkpoint: Checkpoint) -> pa.Table:
    """The rows of ``prototypes``: one per class that was seen in training; none for a checkpoint without prototypes."""
    schema = prototypes_schema(checkpoint.encoder.width, checkpoint.encoder.class_width)
    prototypes = checkpoint.prototypes
    if prototypes is None:
        return schema.empty_table()
    rows = []
    for index, count in enumerate(prototypes.counts.tolist()):
        if count > 0:
            attribute, name = checkpoint.taxonomy.class_name(index)
            level = prototypes.class_level
            rows.append(
                {
                    "attribute": attribute,
                    "class": name,
                    "attribute_embedding": prototypes.attribute[index].float().cpu().numpy(),
                    "class_embedding": None if level is None else level[index].float().cpu().numpy(),
                    "count": int(count),
                }
            )
    return pa.Table.from_pylist(rows, schema=schema)
