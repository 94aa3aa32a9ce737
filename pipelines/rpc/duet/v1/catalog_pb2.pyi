import datetime
from . import class_probability_pb2 as _class_probability_pb2
from . import filter_pb2 as _filter_pb2
from . import value_pb2 as _value_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
DESCRIPTOR: _descriptor.FileDescriptor

class MetadataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METADATA_TYPE_UNSPECIFIED: _ClassVar[MetadataType]
    METADATA_TYPE_STRING: _ClassVar[MetadataType]
    METADATA_TYPE_BOOL: _ClassVar[MetadataType]
    METADATA_TYPE_INT: _ClassVar[MetadataType]
    METADATA_TYPE_DOUBLE: _ClassVar[MetadataType]
    METADATA_TYPE_TIMESTAMP: _ClassVar[MetadataType]
METADATA_TYPE_UNSPECIFIED: MetadataType
METADATA_TYPE_STRING: MetadataType
METADATA_TYPE_BOOL: MetadataType
METADATA_TYPE_INT: MetadataType
METADATA_TYPE_DOUBLE: MetadataType
METADATA_TYPE_TIMESTAMP: MetadataType

class GetTaxonomyRequest(_message.Message):
    __slots__ = ('snapshot',)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: str

    def __init__(self, snapshot: _Optional[str]=...) -> None:
        ...

class GetTaxonomyResponse(_message.Message):
    __slots__ = ('attributes', 'metadata_columns', 'snapshot')
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    METADATA_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    metadata_columns: _containers.RepeatedCompositeFieldContainer[MetadataColumn]
    snapshot: str

    def __init__(self, attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]]=..., metadata_columns: _Optional[_Iterable[_Union[MetadataColumn, _Mapping]]]=..., snapshot: _Optional[str]=...) -> None:
        ...

class Attribute(_message.Message):
    __slots__ = ('name', 'classes', 'multi_label')
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MULTI_LABEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    classes: _containers.RepeatedScalarFieldContainer[str]
    multi_label: bool

    def __init__(self, name: _Optional[str]=..., classes: _Optional[_Iterable[str]]=..., multi_label: bool=...) -> None:
        ...

class GetItemRequest(_message.Message):
    __slots__ = ('name', 'snapshot')
    NAME_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    name: str
    snapshot: str

    def __init__(self, name: _Optional[str]=..., snapshot: _Optional[str]=...) -> None:
        ...

class GetItemResponse(_message.Message):
    __slots__ = ('item',)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: Item

    def __init__(self, item: _Optional[_Union[Item, _Mapping]]=...) -> None:
        ...

class Item(_message.Message):
    __slots__ = ('name', 'item_id', 'image_uri', 'thumbnail', 'metadata', 'attributes')

    class MetadataEntry(_message.Message):
        __slots__ = ('key', 'value')
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value

        def __init__(self, key: _Optional[str]=..., value: _Optional[_Union[_value_pb2.Value, _Mapping]]=...) -> None:
            ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URI_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    item_id: str
    image_uri: str
    thumbnail: bytes
    metadata: _containers.MessageMap[str, _value_pb2.Value]
    attributes: _containers.RepeatedCompositeFieldContainer[ItemAttribute]

    def __init__(self, name: _Optional[str]=..., item_id: _Optional[str]=..., image_uri: _Optional[str]=..., thumbnail: _Optional[bytes]=..., metadata: _Optional[_Mapping[str, _value_pb2.Value]]=..., attributes: _Optional[_Iterable[_Union[ItemAttribute, _Mapping]]]=...) -> None:
        ...

class ItemAttribute(_message.Message):
    __slots__ = ('attribute', 'labels', 'predictions')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    predictions: _containers.RepeatedCompositeFieldContainer[_class_probability_pb2.ClassProbability]

    def __init__(self, attribute: _Optional[str]=..., labels: _Optional[_Iterable[str]]=..., predictions: _Optional[_Iterable[_Union[_class_probability_pb2.ClassProbability, _Mapping]]]=...) -> None:
        ...

class ListItemsRequest(_message.Message):
    __slots__ = ('page_size', 'page_token', 'snapshot', 'filter', 'thumbnails')
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    THUMBNAILS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    snapshot: str
    filter: _filter_pb2.Filter
    thumbnails: bool

    def __init__(self, page_size: _Optional[int]=..., page_token: _Optional[str]=..., snapshot: _Optional[str]=..., filter: _Optional[_Union[_filter_pb2.Filter, _Mapping]]=..., thumbnails: bool=...) -> None:
        ...

class ListItemsResponse(_message.Message):
    __slots__ = ('items', 'next_page_token', 'total_items', 'snapshot')
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ITEMS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Item]
    next_page_token: str
    total_items: int
    snapshot: str

    def __init__(self, items: _Optional[_Iterable[_Union[Item, _Mapping]]]=..., next_page_token: _Optional[str]=..., total_items: _Optional[int]=..., snapshot: _Optional[str]=...) -> None:
        ...

class UpsertItemsRequest(_message.Message):
    __slots__ = ('request_id', 'item')
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    item: UpsertItem

    def __init__(self, request_id: _Optional[str]=..., item: _Optional[_Union[UpsertItem, _Mapping]]=...) -> None:
        ...

class UpsertItem(_message.Message):
    __slots__ = ('item_id', 'image', 'image_uri', 'metadata', 'labels')

    class MetadataEntry(_message.Message):
        __slots__ = ('key', 'value')
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value

        def __init__(self, key: _Optional[str]=..., value: _Optional[_Union[_value_pb2.Value, _Mapping]]=...) -> None:
            ...
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URI_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    image: bytes
    image_uri: str
    metadata: _containers.MessageMap[str, _value_pb2.Value]
    labels: _containers.RepeatedCompositeFieldContainer[ItemLabels]

    def __init__(self, item_id: _Optional[str]=..., image: _Optional[bytes]=..., image_uri: _Optional[str]=..., metadata: _Optional[_Mapping[str, _value_pb2.Value]]=..., labels: _Optional[_Iterable[_Union[ItemLabels, _Mapping]]]=...) -> None:
        ...

class ItemLabels(_message.Message):
    __slots__ = ('attribute', 'classes')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    classes: _containers.RepeatedScalarFieldContainer[str]

    def __init__(self, attribute: _Optional[str]=..., classes: _Optional[_Iterable[str]]=...) -> None:
        ...

class UpsertItemsResponse(_message.Message):
    __slots__ = ('snapshot', 'changed_count', 'unchanged_count', 'refused_items')
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    snapshot: str
    changed_count: int
    unchanged_count: int
    refused_items: _containers.RepeatedCompositeFieldContainer[RefusedItem]

    def __init__(self, snapshot: _Optional[str]=..., changed_count: _Optional[int]=..., unchanged_count: _Optional[int]=..., refused_items: _Optional[_Iterable[_Union[RefusedItem, _Mapping]]]=...) -> None:
        ...

class RefusedItem(_message.Message):
    __slots__ = ('item_id', 'reason', 'message')
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    reason: str
    message: str

    def __init__(self, item_id: _Optional[str]=..., reason: _Optional[str]=..., message: _Optional[str]=...) -> None:
        ...

class DeleteItemsRequest(_message.Message):
    __slots__ = ('request_id', 'item_ids')
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]

    def __init__(self, request_id: _Optional[str]=..., item_ids: _Optional[_Iterable[str]]=...) -> None:
        ...

class DeleteItemsResponse(_message.Message):
    __slots__ = ('snapshot', 'deleted_count', 'absent_count')
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    DELETED_COUNT_FIELD_NUMBER: _ClassVar[int]
    ABSENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    snapshot: str
    deleted_count: int
    absent_count: int

    def __init__(self, snapshot: _Optional[str]=..., deleted_count: _Optional[int]=..., absent_count: _Optional[int]=...) -> None:
        ...

class PublishSnapshotRequest(_message.Message):
    __slots__ = ('request_id', 'snapshot')
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    snapshot: str

    def __init__(self, request_id: _Optional[str]=..., snapshot: _Optional[str]=...) -> None:
        ...

class PublishSnapshotResponse(_message.Message):
    __slots__ = ('snapshot',)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: Snapshot

    def __init__(self, snapshot: _Optional[_Union[Snapshot, _Mapping]]=...) -> None:
        ...

class GetSnapshotRequest(_message.Message):
    __slots__ = ('name',)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str

    def __init__(self, name: _Optional[str]=...) -> None:
        ...

class GetSnapshotResponse(_message.Message):
    __slots__ = ('snapshot',)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: Snapshot

    def __init__(self, snapshot: _Optional[_Union[Snapshot, _Mapping]]=...) -> None:
        ...

class ListSnapshotsRequest(_message.Message):
    __slots__ = ('page_size', 'page_token')
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str

    def __init__(self, page_size: _Optional[int]=..., page_token: _Optional[str]=...) -> None:
        ...

class ListSnapshotsResponse(_message.Message):
    __slots__ = ('snapshots', 'next_page_token')
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedCompositeFieldContainer[Snapshot]
    next_page_token: str

    def __init__(self, snapshots: _Optional[_Iterable[_Union[Snapshot, _Mapping]]]=..., next_page_token: _Optional[str]=...) -> None:
        ...

class Snapshot(_message.Message):
    __slots__ = ('name', 'model', 'publish_time', 'item_count')
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    ITEM_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    publish_time: _timestamp_pb2.Timestamp
    item_count: int

    def __init__(self, name: _Optional[str]=..., model: _Optional[str]=..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]=..., item_count: _Optional[int]=...) -> None:
        ...

class MetadataColumn(_message.Message):
    __slots__ = ('name', 'type')
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: MetadataType

    def __init__(self, name: _Optional[str]=..., type: _Optional[_Union[MetadataType, str]]=...) -> None:
        ...

class GetLimitsRequest(_message.Message):
    __slots__ = ()

    def __init__(self) -> None:
        ...

class GetLimitsResponse(_message.Message):
    __slots__ = ('limits',)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: Limits

    def __init__(self, limits: _Optional[_Union[Limits, _Mapping]]=...) -> None:
        ...

class Limits(_message.Message):
    __slots__ = ('image_bytes', 'image_pixels', 'page_size', 'attribute_conditions', 'classes_per_condition', 'manipulations', 'filter_nodes', 'filter_depth', 'filter_values', 'text_length', 'batch_searches', 'changed_items', 'changed_bytes', 'idle_seconds')
    IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_PER_CONDITION_FIELD_NUMBER: _ClassVar[int]
    MANIPULATIONS_FIELD_NUMBER: _ClassVar[int]
    FILTER_NODES_FIELD_NUMBER: _ClassVar[int]
    FILTER_DEPTH_FIELD_NUMBER: _ClassVar[int]
    FILTER_VALUES_FIELD_NUMBER: _ClassVar[int]
    TEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    BATCH_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    CHANGED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BYTES_FIELD_NUMBER: _ClassVar[int]
    IDLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    image_bytes: int
    image_pixels: int
    page_size: int
    attribute_conditions: int
    classes_per_condition: int
    manipulations: int
    filter_nodes: int
    filter_depth: int
    filter_values: int
    text_length: int
    batch_searches: int
    changed_items: int
    changed_bytes: int
    idle_seconds: float

    def __init__(self, image_bytes: _Optional[int]=..., image_pixels: _Optional[int]=..., page_size: _Optional[int]=..., attribute_conditions: _Optional[int]=..., classes_per_condition: _Optional[int]=..., manipulations: _Optional[int]=..., filter_nodes: _Optional[int]=..., filter_depth: _Optional[int]=..., filter_values: _Optional[int]=..., text_length: _Optional[int]=..., batch_searches: _Optional[int]=..., changed_items: _Optional[int]=..., changed_bytes: _Optional[int]=..., idle_seconds: _Optional[float]=...) -> None:
        ...