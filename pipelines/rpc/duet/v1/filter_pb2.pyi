from . import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
DESCRIPTOR: _descriptor.FileDescriptor

class ComparisonOperator(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPARISON_OPERATOR_UNSPECIFIED: _ClassVar[ComparisonOperator]
    COMPARISON_OPERATOR_EQUAL: _ClassVar[ComparisonOperator]
    COMPARISON_OPERATOR_NOT_EQUAL: _ClassVar[ComparisonOperator]
    COMPARISON_OPERATOR_LESS: _ClassVar[ComparisonOperator]
    COMPARISON_OPERATOR_LESS_OR_EQUAL: _ClassVar[ComparisonOperator]
    COMPARISON_OPERATOR_GREATER: _ClassVar[ComparisonOperator]
    COMPARISON_OPERATOR_GREATER_OR_EQUAL: _ClassVar[ComparisonOperator]
COMPARISON_OPERATOR_UNSPECIFIED: ComparisonOperator
COMPARISON_OPERATOR_EQUAL: ComparisonOperator
COMPARISON_OPERATOR_NOT_EQUAL: ComparisonOperator
COMPARISON_OPERATOR_LESS: ComparisonOperator
COMPARISON_OPERATOR_LESS_OR_EQUAL: ComparisonOperator
COMPARISON_OPERATOR_GREATER: ComparisonOperator
COMPARISON_OPERATOR_GREATER_OR_EQUAL: ComparisonOperator

class Filter(_message.Message):
    __slots__ = ('comparison', 'membership', 'all_of', 'any_of', 'negated')
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    ALL_OF_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    NEGATED_FIELD_NUMBER: _ClassVar[int]
    comparison: Comparison
    membership: Membership
    all_of: FilterList
    any_of: FilterList
    negated: Filter

    def __init__(self, comparison: _Optional[_Union[Comparison, _Mapping]]=..., membership: _Optional[_Union[Membership, _Mapping]]=..., all_of: _Optional[_Union[FilterList, _Mapping]]=..., any_of: _Optional[_Union[FilterList, _Mapping]]=..., negated: _Optional[_Union[Filter, _Mapping]]=...) -> None:
        ...

class FilterList(_message.Message):
    __slots__ = ('filters',)
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[Filter]

    def __init__(self, filters: _Optional[_Iterable[_Union[Filter, _Mapping]]]=...) -> None:
        ...

class Comparison(_message.Message):
    __slots__ = ('column', 'operator', 'value')
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    column: str
    operator: ComparisonOperator
    value: _value_pb2.Value

    def __init__(self, column: _Optional[str]=..., operator: _Optional[_Union[ComparisonOperator, str]]=..., value: _Optional[_Union[_value_pb2.Value, _Mapping]]=...) -> None:
        ...

class Membership(_message.Message):
    __slots__ = ('column', 'values')
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    column: str
    values: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]

    def __init__(self, column: _Optional[str]=..., values: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]]=...) -> None:
        ...