"""Small catalogues in a real index, by the index's own committer, without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import torch

from model.checkpoint import Checkpoint
from model.prototypes import Prototypes
from pipelines.index.committer import Committer
from pipelines.index.datasets import write_rows
from pipelines.index.lease import Lease
from pipelines.index.naming import PROTOTYPES
from pipelines.index.publish import PublishSettings, publish
from pipelines.index.receipt import Receipt
from pipelines.index.schema import LIVE
from pipelines.index.snapshot import Snapshot
from pipelines.index.store import Index

from .world import METADATA, World


def publish_tables(
    index: Index,
    checkpoint: Checkpoint,
    checkpoint_uri: str,
    tables: Mapping[str, pa.Table],
    *,
    metadata: Sequence[pa.Field] = METADATA,
    deleted: Sequence[str] = (),
    settings: PublishSettings | None = None,
) -> Snapshot:
    """Upsert the rows of the tables (without sentinels), delete items, publish."""
    with Lease(index.uri) as lease:
        generation = index.create_generation(checkpoint, checkpoint_uri, tuple(metadata))
        committer = Committer(index, generation, lease)
        fragments = {name: write_rows(committer.datasets[name], rows) for name, rows in tables.items()}
        ids = tables["items"].column("item_id").to_pylist() if "items" in tables else []
        committer.commit([Receipt(committer.sequence + 1, (*ids, *deleted), fragments=fragments)])
        return publish(committer, settings=settings)


def publish_world(index: Index, world: World, settings: PublishSettings | None = None) -> Snapshot:
    """A `World` in an index."""
    prototypes = Prototypes(
        torch.from_numpy(world.prototypes),
        torch.from_numpy(world.class_prototypes) if world.view.class_width else None,
        torch.ones(len(world.prototypes)),
    )
    checkpoint = Checkpoint(
        world.checkpoint.encoder,
        world.checkpoint.preparation,
        prototypes,
        world.checkpoint.head,
        {},
        world.checkpoint.digest,
    )
    tables = {name: table for name, table in world.reader().tables.items() if name != PROTOTYPES}
    live = {name: table.filter(LIVE) for name, table in tables.items()}
    return publish_tables(index, checkpoint, "/checkpoint", live, settings=settings)
