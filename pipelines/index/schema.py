"""Arrow schemas of the tables. Keys are not null; `item_id` is unique in each, by the committer's discipline.

====================  ============  ==========================================================================
``items``             item_id       image_hash, row_hash, image_uri, labels, metadata, thumbnail, sequence
``attribute-<a>``     item_id       embedding f16[D], classes (predicted), probabilities (of those)
``class-<a>``         class,        embedding f16[D], probability, other_classes (predicted beside this one)
                      item_id
``global``            item_id       embedding f16[r]
``prototypes``        attribute,    attribute_embedding f32[D], class_embedding f32[D] or null, count
                      class
``dead_letters``      item_id,      stage, code, message, image_hash, created_at
                      attempt
====================  ============  ==========================================================================

Every table but ``prototypes`` also holds one *sentinel* row (`pipelines.index.sentinel`); read with `LIVE`.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from model.taxonomy import Taxonomy

from .naming import DEAD_LETTERS, GLOBAL, ITEMS, PROTOTYPES, attribute_table, class_table

# Ids hold no control characters, so every one sorts behind the sentinel's and at or behind a blank.
LIVE = pc.field("item_id") >= " "
# Lance cannot add a field to a struct that was written without any: this one stands in where there is none.
NO_FIELD = pa.field("", pa.bool_())
_ITEM_ID = pa.field("item_id", pa.string(), nullable=False)
_TIME = pa.timestamp("us", "UTC")

GENERATIONS_SCHEMA = pa.schema(
    [
        pa.field("generation", pa.string(), nullable=False),
        pa.field("model_digest", pa.string(), nullable=False),
        pa.field("checkpoint_uri", pa.string(), nullable=False),
        pa.field("taxonomy", pa.string(), nullable=False),
        pa.field("preparation", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("class_width", pa.int32()),
        pa.field("global_width", pa.int32()),
        pa.field("created_at", _TIME, nullable=False),
        pa.field("retired", pa.bool_(), nullable=False),
    ]
)

SNAPSHOTS_SCHEMA = pa.schema(
    [
        pa.field("snapshot_id", pa.string(), nullable=False),
        pa.field("generation", pa.string(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field(
            "tables",
            pa.list_(pa.struct([("table", pa.string()), ("version", pa.int64()), ("rows", pa.int64())])),
            nullable=False,
        ),
        pa.field("model_digest", pa.string(), nullable=False),
        pa.field("checkpoint_uri", pa.string(), nullable=False),
        pa.field("published_at", _TIME, nullable=False),
        pa.field("fresh_at", _TIME),
        pa.field("checks", pa.list_(pa.struct([("check", pa.string()), ("value", pa.float64())])), nullable=False),
    ]
)

DEAD_LETTERS_SCHEMA = pa.schema(
    [
        _ITEM_ID,
        pa.field("attempt", pa.int32()),
        pa.field("stage", pa.string()),
        pa.field("code", pa.string()),
        pa.field("message", pa.string()),
        pa.field("image_hash", pa.string()),
        pa.field("created_at", _TIME),
    ]
)


def is_one_of(column: str, values: Iterable[str]) -> pc.Expression:
    """Filter: the column has one of these values. They are compared as values, never as text of a query."""
    return pc.field(column).isin(pa.array(list(values), pa.string()))


def embedding_type(width: int) -> pa.DataType:
    """Type of an embedding column: f16[width]."""
    return pa.list_(pa.float16(), width)


def items_schema(taxonomy: Taxonomy, metadata: Iterable[pa.Field]) -> pa.Schema:
    """Schema of ``items``: labels of the taxonomy's attributes, metadata columns as the manifest types them."""
    labels = [pa.field(name, pa.list_(pa.string())) for name in taxonomy.names]
    fields = [pa.field(field.name, field.type) for field in metadata] or [NO_FIELD]
    return pa.schema(
        [
            _ITEM_ID,
            pa.field("image_hash", pa.string()),
            pa.field("row_hash", pa.string()),
            pa.field("image_uri", pa.string()),
            pa.field("labels", pa.struct(labels)),
            pa.field("metadata", pa.struct(fields)),
            pa.field("thumbnail", pa.binary()),
            pa.field("sequence", pa.int64()),
        ]
    )


def attribute_schema(width: int) -> pa.Schema:
    """Schema of ``attribute-<a>``."""
    return pa.schema(
        [
            _ITEM_ID,
            pa.field("embedding", embedding_type(width)),
            pa.field("classes", pa.list_(pa.string())),
            pa.field("probabilities", pa.list_(pa.float32())),
        ]
    )


def class_schema(width: int) -> pa.Schema:
    """Schema of ``class-<a>``."""
    return pa.schema(
        [
            pa.field("class", pa.string(), nullable=False),
            _ITEM_ID,
            pa.field("embedding", embedding_type(width)),
            pa.field("probability", pa.float32()),
            pa.field("other_classes", pa.list_(pa.string())),
        ]
    )


def global_schema(width: int) -> pa.Schema:
    """Schema of ``global``."""
    return pa.schema([_ITEM_ID, pa.field("embedding", embedding_type(width))])


def prototypes_schema(width: int, class_width: int | None) -> pa.Schema:
    """Schema of ``prototypes``; without a class level its class embeddings are null."""
    return pa.schema(
        [
            pa.field("attribute", pa.string(), nullable=False),
            pa.field("class", pa.string(), nullable=False),
            pa.field("attribute_embedding", pa.list_(pa.float32(), width)),
            pa.field("class_embedding", pa.list_(pa.float32(), class_width or width)),
            pa.field("count", pa.int64()),
        ]
    )


def table_schemas(
    taxonomy: Taxonomy,
    width: int,
    *,
    class_width: int | None,
    global_width: int | None,
    metadata: Iterable[pa.Field] = (),
) -> dict[str, pa.Schema]:
    """Table name -> schema of all tables of a generation, in the order in which they are committed: ``items`` last."""
    schemas = {PROTOTYPES: prototypes_schema(width, class_width), DEAD_LETTERS: DEAD_LETTERS_SCHEMA}
    for name in taxonomy.names:
        schemas[attribute_table(name)] = attribute_schema(width)
        if class_width is not None:
            schemas[class_table(name)] = class_schema(class_width)
    if global_width is not None:
        schemas[GLOBAL] = global_schema(global_width)
    schemas[ITEMS] = items_schema(taxonomy, metadata)
    return schemas
