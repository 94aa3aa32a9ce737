"""What changes the catalogue, from messages: checked as far as it can be before anything is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.errors import RequestError
from pipelines.rpc.duet.v1 import catalog_pb2
from pipelines.search.limits import Limits, check_count, read_name
from pipelines.search.plan import Scope
from pipelines.search.planner import lookup, read_item_id

from .messages import read_value, snapshot_name
from .pictures import Pictures, refusal
from .upsert import UpsertedItem


def read_upsert(message: catalog_pb2.UpsertItem, scope: Scope, limits: Limits, pictures: Pictures) -> UpsertedItem:
    """One item of a stream. Raises `RequestError`; paths of fields begin at the message."""
    item_id = read_item_id(message.item_id, limits, "item.item_id")
    picture = message.WhichOneof("picture")
    if picture is None:
        raise RequestError("PICTURE_REQUIRED", f"item {item_id!r} has neither an image nor an image_uri", "item.image")
    if picture == "image_uri":
        pictures.check(message.image_uri, "item.image_uri")
    metadata = {}
    for text, value in sorted(message.metadata.items()):
        path = f"item.metadata[{text[:80]}]"
        column = read_name(text, limits, path)
        if column not in scope.metadata:
            known = ", ".join(scope.metadata) or "none"
            raise RequestError("UNKNOWN_COLUMN", f"the catalogue has no column {column!r}; it has: {known}", path)
        metadata[column] = read_value(value, path)
        if len(value.string_value) > limits.text_length:
            raise RequestError("TEXT_TOO_LONG", f"text has at most {limits.text_length} characters", path)
    check_count(len(message.labels), len(scope.taxonomy.attributes), "item.labels")
    labels: dict[str, tuple[str, ...]] = {}
    for n, label in enumerate(message.labels):
        path = f"item.labels[{n}]"
        attribute = read_name(label.attribute, limits, f"{path}.attribute")
        lookup("UNKNOWN_ATTRIBUTE", f"{path}.attribute", scope.taxonomy.position, attribute)
        if attribute in labels:
            raise RequestError("DUPLICATE_ATTRIBUTE", f"{attribute!r} is labelled twice", f"{path}.attribute")
        check_count(len(label.classes), limits.classes_per_condition, f"{path}.classes")
        classes = tuple(read_name(name, limits, f"{path}.classes[{m}]") for m, name in enumerate(label.classes))
        for m, name in enumerate(classes):
            lookup("UNKNOWN_CLASS", f"{path}.classes[{m}]", scope.taxonomy.class_index, attribute, name)
        labels[attribute] = classes
    image = message.image if picture == "image" else None
    return UpsertedItem(item_id, image, message.image_uri if image is None else None, metadata, labels)


def write_upserted(
    counts: Mapping[str, int], letters: Sequence[Mapping[str, str]], snapshot_id: str
) -> catalog_pb2.UpsertItemsResponse:
    """What an upsert did, as a message.

    Args:
        counts: items by what was done with them, as in an `IngestSummary`.
        letters: dead letters (item_id, code, message) of those that were refused.
        snapshot_id: the snapshot that holds the others.
    """
    return catalog_pb2.UpsertItemsResponse(
        snapshot=snapshot_name(snapshot_id),
        changed_count=sum(counts.get(name, 0) for name in ("new", "changed", "relabelled")),
        unchanged_count=counts.get("unchanged", 0),
        refused_items=[
            catalog_pb2.RefusedItem(item_id=one["item_id"], reason=fault.reason, message=str(fault))
            for one in letters
            for fault in [refusal(one["code"], one["message"])]
        ],
    )


def write_deleted(counts: Mapping[str, int], snapshot_id: str) -> catalog_pb2.DeleteItemsResponse:
    """What a deletion did, as a message: see `write_upserted`."""
    return catalog_pb2.DeleteItemsResponse(
        snapshot=snapshot_name(snapshot_id), deleted_count=counts["deleted"], absent_count=counts["absent"]
    )
