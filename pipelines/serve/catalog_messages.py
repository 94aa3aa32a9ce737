"""What CatalogService answers, between messages and dataclasses."""

from __future__ import annotations

from dataclasses import asdict

import pyarrow as pa

from model.taxonomy import Attribute, Taxonomy
from pipelines.index.snapshot import Snapshot
from pipelines.rpc.duet.v1 import catalog_pb2
from pipelines.search.filters import Kind, kind_of
from pipelines.search.limits import Limits
from pipelines.search.plan import Scope
from pipelines.search.result import Item

from .messages import item_name, read_classes, read_metadata, snapshot_name, write_classes, write_metadata

_TYPES = {
    Kind.STRING: catalog_pb2.METADATA_TYPE_STRING,
    Kind.BOOL: catalog_pb2.METADATA_TYPE_BOOL,
    Kind.INT: catalog_pb2.METADATA_TYPE_INT,
    Kind.DOUBLE: catalog_pb2.METADATA_TYPE_DOUBLE,
    Kind.TIMESTAMP: catalog_pb2.METADATA_TYPE_TIMESTAMP,
}


def write_taxonomy(scope: Scope) -> catalog_pb2.GetTaxonomyResponse:
    """What requests about a snapshot may name."""
    return catalog_pb2.GetTaxonomyResponse(
        attributes=[
            catalog_pb2.Attribute(name=one.name, classes=one.classes, multi_label=one.multi_label)
            for one in scope.taxonomy.attributes
        ],
        metadata_columns=[
            catalog_pb2.MetadataColumn(name=name, type=_metadata_type(type_)) for name, type_ in scope.metadata.items()
        ],
        snapshot=snapshot_name(scope.snapshot_id),
    )


def read_taxonomy(message: catalog_pb2.GetTaxonomyResponse) -> Taxonomy:
    """The attributes and classes of a snapshot."""
    return Taxonomy(tuple(Attribute(one.name, tuple(one.classes), one.multi_label) for one in message.attributes))


def write_item(item: Item) -> catalog_pb2.Item:
    """An item as a message."""
    message = catalog_pb2.Item(
        name=item_name(item.item_id),
        item_id=item.item_id,
        image_uri=item.image_uri,
        thumbnail=item.thumbnail,
        attributes=[
            catalog_pb2.ItemAttribute(
                attribute=attribute, labels=item.labels[attribute], predictions=write_classes(predictions)
            )
            for attribute, predictions in item.predictions.items()
        ],
    )
    write_metadata(item.metadata, message.metadata)
    return message


def read_item(message: catalog_pb2.Item) -> Item:
    """A message as an item."""
    return Item(
        item_id=message.item_id,
        image_uri=message.image_uri,
        thumbnail=message.thumbnail,
        metadata=read_metadata(message.metadata),
        labels={one.attribute: tuple(one.labels) for one in message.attributes},
        predictions={one.attribute: read_classes(one.predictions) for one in message.attributes},
    )


def write_snapshot(snapshot: Snapshot) -> catalog_pb2.Snapshot:
    """A snapshot as a message."""
    message = catalog_pb2.Snapshot(
        name=snapshot_name(snapshot.snapshot_id), model=snapshot.model_digest, item_count=snapshot.items
    )
    message.publish_time.FromDatetime(snapshot.published_at)
    return message


def write_limits(limits: Limits) -> catalog_pb2.Limits:
    """The limits as a message; both have the same names."""
    return catalog_pb2.Limits(**asdict(limits))


def read_limits(message: catalog_pb2.Limits) -> Limits:
    """A message as the limits."""
    return Limits(**{field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields})


def _metadata_type(type_: pa.DataType) -> catalog_pb2.MetadataType:
    kind = kind_of(type_)
    return catalog_pb2.METADATA_TYPE_UNSPECIFIED if kind is None else _TYPES[kind]
