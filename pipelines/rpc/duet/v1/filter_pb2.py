"""Generated protocol buffer code."""
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf import symbol_database as _symbol_database
from google.protobuf.internal import builder as _builder
_runtime_version.ValidateProtobufRuntimeVersion(_runtime_version.Domain.PUBLIC, 6, 31, 1, '', 'duet/v1/filter.proto')
_sym_db = _symbol_database.Default()
from ...duet.v1 import value_pb2 as duet_dot_v1_dot_value__pb2
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x14duet/v1/filter.proto\x12\x07duet.v1\x1a\x13duet/v1/value.proto"\xd8\x01\n\x06Filter\x12)\n\ncomparison\x18\x01 \x01(\x0b2\x13.duet.v1.ComparisonH\x00\x12)\n\nmembership\x18\x02 \x01(\x0b2\x13.duet.v1.MembershipH\x00\x12%\n\x06all_of\x18\x03 \x01(\x0b2\x13.duet.v1.FilterListH\x00\x12%\n\x06any_of\x18\x04 \x01(\x0b2\x13.duet.v1.FilterListH\x00\x12"\n\x07negated\x18\x05 \x01(\x0b2\x0f.duet.v1.FilterH\x00B\x06\n\x04kind".\n\nFilterList\x12 \n\x07filters\x18\x01 \x03(\x0b2\x0f.duet.v1.Filter"j\n\nComparison\x12\x0e\n\x06column\x18\x01 \x01(\t\x12-\n\x08operator\x18\x02 \x01(\x0e2\x1b.duet.v1.ComparisonOperator\x12\x1d\n\x05value\x18\x03 \x01(\x0b2\x0e.duet.v1.Value"<\n\nMembership\x12\x0e\n\x06column\x18\x01 \x01(\t\x12\x1e\n\x06values\x18\x02 \x03(\x0b2\x0e.duet.v1.Value*\x8b\x02\n\x12ComparisonOperator\x12#\n\x1fCOMPARISON_OPERATOR_UNSPECIFIED\x10\x00\x12\x1d\n\x19COMPARISON_OPERATOR_EQUAL\x10\x01\x12!\n\x1dCOMPARISON_OPERATOR_NOT_EQUAL\x10\x02\x12\x1c\n\x18COMPARISON_OPERATOR_LESS\x10\x03\x12%\n!COMPARISON_OPERATOR_LESS_OR_EQUAL\x10\x04\x12\x1f\n\x1bCOMPARISON_OPERATOR_GREATER\x10\x05\x12(\n$COMPARISON_OPERATOR_GREATER_OR_EQUAL\x10\x06b\x06proto3')
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'duet.v1.filter_pb2', _globals)
if not _descriptor._USE_C_DESCRIPTORS:
    DESCRIPTOR._loaded_options = None
    _globals['_COMPARISONOPERATOR']._serialized_start = 492
    _globals['_COMPARISONOPERATOR']._serialized_end = 759
    _globals['_FILTER']._serialized_start = 55
    _globals['_FILTER']._serialized_end = 271
    _globals['_FILTERLIST']._serialized_start = 273
    _globals['_FILTERLIST']._serialized_end = 319
    _globals['_COMPARISON']._serialized_start = 321
    _globals['_COMPARISON']._serialized_end = 427
    _globals['_MEMBERSHIP']._serialized_start = 429
    _globals['_MEMBERSHIP']._serialized_end = 489