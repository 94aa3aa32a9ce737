"""Small random snapshots: plain arrays, which the oracle reads, and the same as tables, which the engine reads.

Stored vectors have only components of 0, ±½ and ±1, so that many similarities are equal exactly, in any precision:
ties are the rule here and not the exception.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import torch
from PIL import Image
from torch import nn

from model.checkpoint import Checkpoint
from model.encoder import AttributeOutput, ClassPairs, Encoder, EncoderConfig
from model.manipulation import GlobalHead, HeadConfig
from model.preparation import ImagePreparation
from model.taxonomy import Attribute, Taxonomy
from pipelines.index.naming import GLOBAL, ITEMS, PROTOTYPES, attribute_table, class_table
from pipelines.index.schema import attribute_schema, class_schema, global_schema, items_schema, prototypes_schema

TAXONOMY = Taxonomy(
    (
        Attribute("collar", ("v-neck", "round", "polo")),
        Attribute("pattern", ("print", "tribal", "floral", 'it\'s "plain"'), multi_label=True),
        Attribute("colour", ("black", "red")),
    )
)
WIDTH, GLOBAL_WIDTH, SIDE = 4, 4, 16
METADATA = (
    pa.field("price", pa.int64()),
    pa.field("weight", pa.float32()),
    pa.field("brand", pa.string()),
    pa.field("sale", pa.bool_()),
    pa.field("added", pa.timestamp("us", "UTC")),
)
_AXES = [sign * row for sign in (1, -1) for row in np.eye(4)]
VECTORS = np.array([*_AXES, *itertools.product((0.5, -0.5), repeat=4)], np.float16)
LEANING = VECTORS[VECTORS[:, 0] > 0].astype(np.float32)  # no sum of some of them is zero, which is refused


class TinyEncoder(Encoder):
    """A real encoder of four dimensions: linear in a 4×4 thumbnail."""

    def __init__(self, *, has_classes: bool, class_first: bool, slack: int) -> None:
        super().__init__(EncoderConfig(threshold=0.5), TAXONOMY)
        self.width, self.class_width = WIDTH, WIDTH if has_classes else None
        self.class_first, self.slack = class_first, slack
        count = len(TAXONOMY.attributes)
        self.embed = nn.Linear(48, count * WIDTH)
        self.logits = nn.Linear(count * WIDTH, TAXONOMY.class_count)
        self.gate = nn.Embedding(TAXONOMY.class_count, WIDTH)
        self.attribute_of_class = TAXONOMY.attribute_of_class

    def attributes(self, images: torch.Tensor) -> AttributeOutput:
        pooled = nn.functional.adaptive_avg_pool2d(images.float() / 127.5 - 1, 4).flatten(1)
        flat = self.embed(pooled)
        return AttributeOutput(flat.unflatten(1, (-1, WIDTH)), self.logits(flat), ())

    def classes(self, output: AttributeOutput, pairs: ClassPairs) -> torch.Tensor:
        attribute = torch.tensor(self.attribute_of_class)[pairs.class_index]
        return output.embeddings[pairs.image, attribute] * self.gate(pairs.class_index)


@dataclass(frozen=True)
class View:
    """What a `pipelines.index.snapshot.Snapshot` says of itself, as far as search reads it."""

    snapshot_id: str = "s00000001"
    model_digest: str = "ab" * 32
    taxonomy: Taxonomy = TAXONOMY
    width: int = WIDTH
    global_width: int | None = GLOBAL_WIDTH
    class_width: int | None = WIDTH


@dataclass(frozen=True)
class World:
    """N items as plain arrays; `classes` maps (item, class index) to an embedding."""

    ids: list[str]
    attributes: np.ndarray
    carried: np.ndarray
    probabilities: np.ndarray
    classes: dict[tuple[int, int], np.ndarray]
    merged: np.ndarray
    metadata: list[dict[str, Any]]
    prototypes: np.ndarray
    class_prototypes: np.ndarray
    checkpoint: Checkpoint
    view: View = field(default_factory=View)

    def reader(self, batch: int = 7) -> MemoryReader:
        return MemoryReader(self, batch)


def make_world(
    seed: int,
    count: int,
    *,
    has_classes: bool = True,
    class_first: bool = True,
    slack: int = 0,
    snapshot_id: str = "s00000001",
) -> World:
    rng = np.random.default_rng(seed)
    taxonomy = TAXONOMY
    carried = np.zeros((count, taxonomy.class_count), bool)
    for n, attribute in enumerate(taxonomy.attributes):
        part = carried[:, taxonomy.span(n)]
        part[np.arange(count), rng.integers(0, len(attribute.classes), count)] = True
        if attribute.multi_label:
            part |= rng.random(part.shape) < 0.4
    torch.manual_seed(seed)
    encoder = TinyEncoder(has_classes=has_classes, class_first=class_first, slack=slack).eval()
    head = GlobalHead(HeadConfig(), taxonomy, WIDTH, GLOBAL_WIDTH).eval()
    nn.init.normal_(head.memory)
    nn.init.uniform_(head.weight, 0.5, 1.5)
    ids = [f"item-{i:02d}" if i % 3 else f"ítem '{i}\" -- / {i}" for i in rng.permutation(count)]
    return World(
        ids=ids,
        attributes=VECTORS[rng.integers(0, 6, (count, len(taxonomy.attributes)))],
        carried=carried,
        probabilities=rng.integers(1, 16, carried.shape).astype(np.float32) / 16,
        classes={(i, m): VECTORS[rng.integers(0, 6)] for i, m in np.argwhere(carried).tolist()} if has_classes else {},
        merged=VECTORS[rng.integers(0, len(VECTORS), count)],
        metadata=[_metadata(rng) for _ in ids],
        prototypes=LEANING[rng.integers(0, len(LEANING), taxonomy.class_count)],
        class_prototypes=VECTORS[rng.integers(0, len(VECTORS), taxonomy.class_count)].astype(np.float32),
        checkpoint=Checkpoint(encoder, ImagePreparation(SIDE, SIDE), None, head, {}, View().model_digest),
        view=View(snapshot_id=snapshot_id, class_width=WIDTH if has_classes else None),
    )


def _metadata(rng: np.random.Generator) -> dict[str, Any]:
    row: dict[str, Any] = {
        "price": int(rng.integers(8, 13)),
        "weight": float(np.float32(rng.choice([0.1, 0.5, 1.0]))),
        "brand": str(rng.choice(["Acme", "O'Brien", "ünlü"])),
        "sale": bool(rng.integers(2)),
        "added": datetime(2024, 1, int(rng.integers(1, 4)), tzinfo=UTC),
    }
    return {name: None if rng.random() < 0.2 else value for name, value in row.items()}


def picture(seed: int) -> bytes:
    """A PNG of noise, of the encoder's size."""
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


class MemoryReader:
    """`World` as tables with the index's own schemas and sentinel rows, in another order of rows per table."""

    def __init__(self, world: World, batch: int) -> None:
        self.snapshot, self._world, self._batch = world.view, world, batch
        self.scans: list[tuple[str, tuple[str, ...]]] = []
        self.tables = {ITEMS: self._items(), GLOBAL: self._global(), PROTOTYPES: self._prototypes()}
        for n, name in enumerate(TAXONOMY.names):
            self.tables[attribute_table(name)] = self._attribute(n)
            if world.view.class_width:
                self.tables[class_table(name)] = self._classes(n)

    def items(self, columns: list[str] | None = None) -> pa.Table:
        table = self.tables[ITEMS].slice(1)
        return table if columns is None else table.select(columns)

    def find_items(self, item_ids: Sequence[str], columns: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        rows = self.items() if columns is None else self.items(["item_id", *columns])
        return {row["item_id"]: row for row in rows.to_pylist() if row["item_id"] in item_ids}

    def prototypes(self) -> pa.Table:
        return self.tables[PROTOTYPES]

    def dataset(self, table: str) -> Any:
        return _Dataset(self, table)

    def nearest(self, table: str, query: np.ndarray, count: int, where: Any) -> None:
        """There is no index."""

    def scan(self, table: str, columns: list[str], where: Any) -> Any:
        self.scans.append((table, tuple(columns)))
        return ds.dataset(self.tables[table]).to_batches(columns=columns, filter=where, batch_size=self._batch)

    def _items(self) -> pa.Table:
        world = self._world
        rows = [
            {
                "item_id": item_id,
                "image_uri": None if i % 2 else f"images/{i}.jpg",
                "labels": {name: [] for name in TAXONOMY.names},
                "metadata": world.metadata[i],
                "thumbnail": b"jpeg" if i % 2 else None,
                "sequence": i,
            }
            for i, item_id in enumerate(world.ids)
        ]
        return pa.Table.from_pylist([{"item_id": "\x01mark"}, *rows], schema=items_schema(TAXONOMY, METADATA))

    def _shuffled(self, rows: list[dict[str, Any]], schema: pa.Schema, seed: int) -> pa.Table:
        rows = [*rows, {"item_id": "\x01mark", "class": ""}]
        order = np.random.default_rng(seed).permutation(len(rows))
        return pa.Table.from_pylist([rows[i] for i in order], schema=schema)

    def _attribute(self, n: int) -> pa.Table:
        world, span = self._world, TAXONOMY.span(n)
        rows = []
        for i, item_id in enumerate(world.ids):
            carried = np.flatnonzero(world.carried[i, span]) + span.start
            rows.append(
                {
                    "item_id": item_id,
                    "embedding": world.attributes[i, n],
                    "classes": [TAXONOMY.class_name(m)[1] for m in carried],
                    "probabilities": world.probabilities[i, carried],
                }
            )
        return self._shuffled(rows, attribute_schema(world.view.width), n)

    def _classes(self, n: int) -> pa.Table:
        rows = [
            {
                "class": TAXONOMY.class_name(m)[1],
                "item_id": self._world.ids[i],
                "embedding": vector,
                "probability": self._world.probabilities[i, m],
            }
            for (i, m), vector in self._world.classes.items()
            if TAXONOMY.attribute_of_class[m] == n
        ]
        return self._shuffled(rows, class_schema(self._world.view.class_width), 10 + n)

    def _global(self) -> pa.Table:
        rows = [{"item_id": i, "embedding": v} for i, v in zip(self._world.ids, self._world.merged, strict=True)]
        return self._shuffled(rows, global_schema(GLOBAL_WIDTH), 20)

    def _prototypes(self) -> pa.Table:
        rows = []
        for m in range(TAXONOMY.class_count):
            attribute, name = TAXONOMY.class_name(m)
            vectors = self._world.prototypes[m], self._world.class_prototypes[m]
            class_vector = vectors[1] if self._world.view.class_width else None
            rows.append(
                {
                    "attribute": attribute,
                    "class": name,
                    "attribute_embedding": vectors[0],
                    "class_embedding": class_vector,
                    "count": 3,
                }
            )
        view = self._world.view
        return pa.Table.from_pylist(rows, schema=prototypes_schema(view.width, view.class_width))


class _Dataset:
    def __init__(self, reader: MemoryReader, table: str) -> None:
        self._reader, self._table = reader, table
        self.schema = reader.tables[table].schema

    def to_batches(self, *, columns: list[str], filter: Any) -> Any:
        return self._reader.scan(self._table, columns, filter)
