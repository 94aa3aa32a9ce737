import datetime
from . import class_probability_pb2 as _class_probability_pb2
from . import filter_pb2 as _filter_pb2
from . import value_pb2 as _value_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
DESCRIPTOR: _descriptor.FileDescriptor

class Match(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCH_UNSPECIFIED: _ClassVar[Match]
    MATCH_ALL: _ClassVar[Match]
    MATCH_ANY: _ClassVar[Match]

class ManipulationOperation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MANIPULATION_OPERATION_UNSPECIFIED: _ClassVar[ManipulationOperation]
    MANIPULATION_OPERATION_REPLACE: _ClassVar[ManipulationOperation]
    MANIPULATION_OPERATION_ADD: _ClassVar[ManipulationOperation]
    MANIPULATION_OPERATION_REMOVE: _ClassVar[ManipulationOperation]
MATCH_UNSPECIFIED: Match
MATCH_ALL: Match
MATCH_ANY: Match
MANIPULATION_OPERATION_UNSPECIFIED: ManipulationOperation
MANIPULATION_OPERATION_REPLACE: ManipulationOperation
MANIPULATION_OPERATION_ADD: ManipulationOperation
MANIPULATION_OPERATION_REMOVE: ManipulationOperation

class SearchRequest(_message.Message):
    __slots__ = ('image', 'item_id', 'image_uri', 'attributes', 'manipulations', 'filter', 'page_size', 'page_token', 'snapshot', 'group_by', 'exact', 'validate_only')
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URI_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    MANIPULATIONS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    item_id: str
    image_uri: str
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeCondition]
    manipulations: _containers.RepeatedCompositeFieldContainer[Manipulation]
    filter: _filter_pb2.Filter
    page_size: int
    page_token: str
    snapshot: str
    group_by: str
    exact: bool
    validate_only: bool

    def __init__(self, image: _Optional[bytes]=..., item_id: _Optional[str]=..., image_uri: _Optional[str]=..., attributes: _Optional[_Iterable[_Union[AttributeCondition, _Mapping]]]=..., manipulations: _Optional[_Iterable[_Union[Manipulation, _Mapping]]]=..., filter: _Optional[_Union[_filter_pb2.Filter, _Mapping]]=..., page_size: _Optional[int]=..., page_token: _Optional[str]=..., snapshot: _Optional[str]=..., group_by: _Optional[str]=..., exact: bool=..., validate_only: bool=...) -> None:
        ...

class AttributeCondition(_message.Message):
    __slots__ = ('attribute', 'classes', 'match', 'excluded_classes', 'weight')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    classes: _containers.RepeatedScalarFieldContainer[str]
    match: Match
    excluded_classes: _containers.RepeatedScalarFieldContainer[str]
    weight: float

    def __init__(self, attribute: _Optional[str]=..., classes: _Optional[_Iterable[str]]=..., match: _Optional[_Union[Match, str]]=..., excluded_classes: _Optional[_Iterable[str]]=..., weight: _Optional[float]=...) -> None:
        ...

class Manipulation(_message.Message):
    __slots__ = ('attribute', 'operation', 'from_class', 'to_class')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    FROM_CLASS_FIELD_NUMBER: _ClassVar[int]
    TO_CLASS_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    operation: ManipulationOperation
    from_class: str
    to_class: str

    def __init__(self, attribute: _Optional[str]=..., operation: _Optional[_Union[ManipulationOperation, str]]=..., from_class: _Optional[str]=..., to_class: _Optional[str]=...) -> None:
        ...

class SearchResponse(_message.Message):
    __slots__ = ('hits', 'next_page_token', 'total_candidates', 'exact', 'snapshot', 'model', 'timings', 'total_groups', 'plan')
    HITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_GROUPS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    next_page_token: str
    total_candidates: int
    exact: bool
    snapshot: str
    model: str
    timings: _containers.RepeatedCompositeFieldContainer[StageTiming]
    total_groups: int
    plan: str

    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]]=..., next_page_token: _Optional[str]=..., total_candidates: _Optional[int]=..., exact: bool=..., snapshot: _Optional[str]=..., model: _Optional[str]=..., timings: _Optional[_Iterable[_Union[StageTiming, _Mapping]]]=..., total_groups: _Optional[int]=..., plan: _Optional[str]=...) -> None:
        ...

class BatchSearchRequest(_message.Message):
    __slots__ = ('search',)
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    search: SearchRequest

    def __init__(self, search: _Optional[_Union[SearchRequest, _Mapping]]=...) -> None:
        ...

class BatchSearchResponse(_message.Message):
    __slots__ = ('response', 'error')
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: SearchResponse
    error: SearchError

    def __init__(self, response: _Optional[_Union[SearchResponse, _Mapping]]=..., error: _Optional[_Union[SearchError, _Mapping]]=...) -> None:
        ...

class SearchError(_message.Message):
    __slots__ = ('code', 'reason', 'message', 'field')
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    field: str

    def __init__(self, code: _Optional[int]=..., reason: _Optional[str]=..., message: _Optional[str]=..., field: _Optional[str]=...) -> None:
        ...

class ExplainRequest(_message.Message):
    __slots__ = ('search', 'item_id', 'overlays')
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    OVERLAYS_FIELD_NUMBER: _ClassVar[int]
    search: SearchRequest
    item_id: str
    overlays: bool

    def __init__(self, search: _Optional[_Union[SearchRequest, _Mapping]]=..., item_id: _Optional[str]=..., overlays: bool=...) -> None:
        ...

class ExplainResponse(_message.Message):
    __slots__ = ('plan', 'hit', 'attributes', 'changes', 'attention', 'snapshot', 'model')
    PLAN_FIELD_NUMBER: _ClassVar[int]
    HIT_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    ATTENTION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    plan: str
    hit: Hit
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeExplanation]
    changes: _containers.RepeatedCompositeFieldContainer[ClassChange]
    attention: _containers.RepeatedCompositeFieldContainer[AttentionMap]
    snapshot: str
    model: str

    def __init__(self, plan: _Optional[str]=..., hit: _Optional[_Union[Hit, _Mapping]]=..., attributes: _Optional[_Iterable[_Union[AttributeExplanation, _Mapping]]]=..., changes: _Optional[_Iterable[_Union[ClassChange, _Mapping]]]=..., attention: _Optional[_Iterable[_Union[AttentionMap, _Mapping]]]=..., snapshot: _Optional[str]=..., model: _Optional[str]=...) -> None:
        ...

class AttributeExplanation(_message.Message):
    __slots__ = ('attribute', 'weight', 'score_share', 'tier', 'similarity', 'classes')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SCORE_SHARE_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    weight: float
    score_share: float
    tier: int
    similarity: float
    classes: _containers.RepeatedCompositeFieldContainer[ClassExplanation]

    def __init__(self, attribute: _Optional[str]=..., weight: _Optional[float]=..., score_share: _Optional[float]=..., tier: _Optional[int]=..., similarity: _Optional[float]=..., classes: _Optional[_Iterable[_Union[ClassExplanation, _Mapping]]]=...) -> None:
        ...

class ClassExplanation(_message.Message):
    __slots__ = ('name', 'carried', 'probability', 'similarity', 'score_share')
    NAME_FIELD_NUMBER: _ClassVar[int]
    CARRIED_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    SCORE_SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    carried: bool
    probability: float
    similarity: float
    score_share: float

    def __init__(self, name: _Optional[str]=..., carried: bool=..., probability: _Optional[float]=..., similarity: _Optional[float]=..., score_share: _Optional[float]=...) -> None:
        ...

class ClassChange(_message.Message):
    __slots__ = ('attribute', 'removed_classes', 'added_classes')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    REMOVED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    ADDED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    removed_classes: _containers.RepeatedScalarFieldContainer[str]
    added_classes: _containers.RepeatedScalarFieldContainer[str]

    def __init__(self, attribute: _Optional[str]=..., removed_classes: _Optional[_Iterable[str]]=..., added_classes: _Optional[_Iterable[str]]=...) -> None:
        ...

class AttentionMap(_message.Message):
    __slots__ = ('attribute', 'class_name', 'height', 'width', 'values', 'overlay_png')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    OVERLAY_PNG_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    class_name: str
    height: int
    width: int
    values: _containers.RepeatedScalarFieldContainer[float]
    overlay_png: bytes

    def __init__(self, attribute: _Optional[str]=..., class_name: _Optional[str]=..., height: _Optional[int]=..., width: _Optional[int]=..., values: _Optional[_Iterable[float]]=..., overlay_png: _Optional[bytes]=...) -> None:
        ...

class StageTiming(_message.Message):
    __slots__ = ('stage', 'duration')
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    stage: str
    duration: _duration_pb2.Duration

    def __init__(self, stage: _Optional[str]=..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]]=...) -> None:
        ...

class Hit(_message.Message):
    __slots__ = ('rank', 'tier', 'score', 'item_id', 'image_uri', 'metadata', 'contributions')

    class MetadataEntry(_message.Message):
        __slots__ = ('key', 'value')
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value

        def __init__(self, key: _Optional[str]=..., value: _Optional[_Union[_value_pb2.Value, _Mapping]]=...) -> None:
            ...
    RANK_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_URI_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    rank: int
    tier: int
    score: float
    item_id: str
    image_uri: str
    metadata: _containers.MessageMap[str, _value_pb2.Value]
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]

    def __init__(self, rank: _Optional[int]=..., tier: _Optional[int]=..., score: _Optional[float]=..., item_id: _Optional[str]=..., image_uri: _Optional[str]=..., metadata: _Optional[_Mapping[str, _value_pb2.Value]]=..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]]=...) -> None:
        ...

class Contribution(_message.Message):
    __slots__ = ('attribute', 'similarity', 'class_similarity', 'matched_classes', 'removed_classes', 'added_classes')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    CLASS_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    MATCHED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    ADDED_CLASSES_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    similarity: float
    class_similarity: float
    matched_classes: _containers.RepeatedCompositeFieldContainer[_class_probability_pb2.ClassProbability]
    removed_classes: _containers.RepeatedScalarFieldContainer[str]
    added_classes: _containers.RepeatedScalarFieldContainer[str]

    def __init__(self, attribute: _Optional[str]=..., similarity: _Optional[float]=..., class_similarity: _Optional[float]=..., matched_classes: _Optional[_Iterable[_Union[_class_probability_pb2.ClassProbability, _Mapping]]]=..., removed_classes: _Optional[_Iterable[str]]=..., added_classes: _Optional[_Iterable[str]]=...) -> None:
        ...

class EmbedRequest(_message.Message):
    __slots__ = ('image', 'snapshot')
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    snapshot: str

    def __init__(self, image: _Optional[bytes]=..., snapshot: _Optional[str]=...) -> None:
        ...

class EmbedResponse(_message.Message):
    __slots__ = ('attributes', 'global_embedding', 'model')
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    GLOBAL_EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeEmbedding]
    global_embedding: _containers.RepeatedScalarFieldContainer[float]
    model: str

    def __init__(self, attributes: _Optional[_Iterable[_Union[AttributeEmbedding, _Mapping]]]=..., global_embedding: _Optional[_Iterable[float]]=..., model: _Optional[str]=...) -> None:
        ...

class AttributeEmbedding(_message.Message):
    __slots__ = ('attribute', 'embedding', 'classes')
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    embedding: _containers.RepeatedScalarFieldContainer[float]
    classes: _containers.RepeatedCompositeFieldContainer[ClassEmbedding]

    def __init__(self, attribute: _Optional[str]=..., embedding: _Optional[_Iterable[float]]=..., classes: _Optional[_Iterable[_Union[ClassEmbedding, _Mapping]]]=...) -> None:
        ...

class ClassEmbedding(_message.Message):
    __slots__ = ('name', 'probability', 'predicted', 'embedding')
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    name: str
    probability: float
    predicted: bool
    embedding: _containers.RepeatedScalarFieldContainer[float]

    def __init__(self, name: _Optional[str]=..., probability: _Optional[float]=..., predicted: bool=..., embedding: _Optional[_Iterable[float]]=...) -> None:
        ...