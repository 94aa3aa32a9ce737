"""Generated protocol buffer code."""
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf import symbol_database as _symbol_database
from google.protobuf.internal import builder as _builder
_runtime_version.ValidateProtobufRuntimeVersion(_runtime_version.Domain.PUBLIC, 6, 31, 1, '', 'duet/v1/search.proto')
_sym_db = _symbol_database.Default()
from ...duet.v1 import class_probability_pb2 as duet_dot_v1_dot_class__probability__pb2
from ...duet.v1 import filter_pb2 as duet_dot_v1_dot_filter__pb2
from ...duet.v1 import value_pb2 as duet_dot_v1_dot_value__pb2
from google.protobuf import duration_pb2 as google_dot_protobuf_dot_duration__pb2
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x14duet/v1/search.proto\x12\x07duet.v1\x1a\x1fduet/v1/class_probability.proto\x1a\x14duet/v1/filter.proto\x1a\x13duet/v1/value.proto\x1a\x1egoogle/protobuf/duration.proto"\xc2\x02\n\rSearchRequest\x12\x0f\n\x05image\x18\x01 \x01(\x0cH\x00\x12\x11\n\x07item_id\x18\x02 \x01(\tH\x00\x12\x13\n\timage_uri\x18\x0c \x01(\tH\x00\x12/\n\nattributes\x18\x03 \x03(\x0b2\x1b.duet.v1.AttributeCondition\x12,\n\rmanipulations\x18\x04 \x03(\x0b2\x15.duet.v1.Manipulation\x12\x1f\n\x06filter\x18\x05 \x01(\x0b2\x0f.duet.v1.Filter\x12\x11\n\tpage_size\x18\x06 \x01(\x05\x12\x12\n\npage_token\x18\x07 \x01(\t\x12\x10\n\x08snapshot\x18\x08 \x01(\t\x12\x10\n\x08group_by\x18\t \x01(\t\x12\r\n\x05exact\x18\n \x01(\x08\x12\x15\n\rvalidate_only\x18\x0b \x01(\x08B\x07\n\x05query"\x91\x01\n\x12AttributeCondition\x12\x11\n\tattribute\x18\x01 \x01(\t\x12\x0f\n\x07classes\x18\x02 \x03(\t\x12\x1d\n\x05match\x18\x03 \x01(\x0e2\x0e.duet.v1.Match\x12\x18\n\x10excluded_classes\x18\x04 \x03(\t\x12\x13\n\x06weight\x18\x05 \x01(\x01H\x00\x88\x01\x01B\t\n\x07_weight"z\n\x0cManipulation\x12\x11\n\tattribute\x18\x01 \x01(\t\x121\n\toperation\x18\x02 \x01(\x0e2\x1e.duet.v1.ManipulationOperation\x12\x12\n\nfrom_class\x18\x03 \x01(\t\x12\x10\n\x08to_class\x18\x04 \x01(\t"\xda\x01\n\x0eSearchResponse\x12\x1a\n\x04hits\x18\x01 \x03(\x0b2\x0c.duet.v1.Hit\x12\x17\n\x0fnext_page_token\x18\x02 \x01(\t\x12\x18\n\x10total_candidates\x18\x03 \x01(\x03\x12\r\n\x05exact\x18\x04 \x01(\x08\x12\x10\n\x08snapshot\x18\x05 \x01(\t\x12\r\n\x05model\x18\x06 \x01(\t\x12%\n\x07timings\x18\x07 \x03(\x0b2\x14.duet.v1.StageTiming\x12\x14\n\x0ctotal_groups\x18\x08 \x01(\x03\x12\x0c\n\x04plan\x18\t \x01(\t"<\n\x12BatchSearchRequest\x12&\n\x06search\x18\x01 \x01(\x0b2\x16.duet.v1.SearchRequest"s\n\x13BatchSearchResponse\x12+\n\x08response\x18\x01 \x01(\x0b2\x17.duet.v1.SearchResponseH\x00\x12%\n\x05error\x18\x02 \x01(\x0b2\x14.duet.v1.SearchErrorH\x00B\x08\n\x06result"K\n\x0bSearchError\x12\x0c\n\x04code\x18\x01 \x01(\x05\x12\x0e\n\x06reason\x18\x02 \x01(\t\x12\x0f\n\x07message\x18\x03 \x01(\t\x12\r\n\x05field\x18\x04 \x01(\t"[\n\x0eExplainRequest\x12&\n\x06search\x18\x01 \x01(\x0b2\x16.duet.v1.SearchRequest\x12\x0f\n\x07item_id\x18\x02 \x01(\t\x12\x10\n\x08overlays\x18\x03 \x01(\x08"\xdf\x01\n\x0fExplainResponse\x12\x0c\n\x04plan\x18\x01 \x01(\t\x12\x19\n\x03hit\x18\x02 \x01(\x0b2\x0c.duet.v1.Hit\x121\n\nattributes\x18\x03 \x03(\x0b2\x1d.duet.v1.AttributeExplanation\x12%\n\x07changes\x18\x04 \x03(\x0b2\x14.duet.v1.ClassChange\x12(\n\tattention\x18\x05 \x03(\x0b2\x15.duet.v1.AttentionMap\x12\x10\n\x08snapshot\x18\x06 \x01(\t\x12\r\n\x05model\x18\x07 \x01(\t"\x9c\x01\n\x14AttributeExplanation\x12\x11\n\tattribute\x18\x01 \x01(\t\x12\x0e\n\x06weight\x18\x02 \x01(\x01\x12\x13\n\x0bscore_share\x18\x03 \x01(\x01\x12\x0c\n\x04tier\x18\x04 \x01(\x05\x12\x12\n\nsimilarity\x18\x05 \x01(\x01\x12*\n\x07classes\x18\x06 \x03(\x0b2\x19.duet.v1.ClassExplanation"\x98\x01\n\x10ClassExplanation\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x0f\n\x07carried\x18\x02 \x01(\x08\x12\x18\n\x0bprobability\x18\x03 \x01(\x01H\x00\x88\x01\x01\x12\x17\n\nsimilarity\x18\x04 \x01(\x01H\x01\x88\x01\x01\x12\x13\n\x0bscore_share\x18\x05 \x01(\x01B\x0e\n\x0c_probabilityB\r\n\x0b_similarity"P\n\x0bClassChange\x12\x11\n\tattribute\x18\x01 \x01(\t\x12\x17\n\x0fremoved_classes\x18\x02 \x03(\t\x12\x15\n\radded_classes\x18\x03 \x03(\t"y\n\x0cAttentionMap\x12\x11\n\tattribute\x18\x01 \x01(\t\x12\x12\n\nclass_name\x18\x02 \x01(\t\x12\x0e\n\x06height\x18\x03 \x01(\x05\x12\r\n\x05width\x18\x04 \x01(\x05\x12\x0e\n\x06values\x18\x05 \x03(\x02\x12\x13\n\x0boverlay_png\x18\x06 \x01(\x0c"I\n\x0bStageTiming\x12\r\n\x05stage\x18\x01 \x01(\t\x12+\n\x08duration\x18\x02 \x01(\x0b2\x19.google.protobuf.Duration"\xf1\x01\n\x03Hit\x12\x0c\n\x04rank\x18\x01 \x01(\x05\x12\x0c\n\x04tier\x18\x02 \x01(\x05\x12\r\n\x05score\x18\x03 \x01(\x01\x12\x0f\n\x07item_id\x18\x04 \x01(\t\x12\x11\n\timage_uri\x18\x05 \x01(\t\x12,\n\x08metadata\x18\x06 \x03(\x0b2\x1a.duet.v1.Hit.MetadataEntry\x12,\n\rcontributions\x18\x07 \x03(\x0b2\x15.duet.v1.Contribution\x1a?\n\rMetadataEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12\x1d\n\x05value\x18\x02 \x01(\x0b2\x0e.duet.v1.Value:\x028\x01"\xcd\x01\n\x0cContribution\x12\x11\n\tattribute\x18\x01 \x01(\t\x12\x12\n\nsimilarity\x18\x02 \x01(\x01\x12\x1d\n\x10class_similarity\x18\x03 \x01(\x01H\x00\x88\x01\x01\x122\n\x0fmatched_classes\x18\x04 \x03(\x0b2\x19.duet.v1.ClassProbability\x12\x17\n\x0fremoved_classes\x18\x05 \x03(\t\x12\x15\n\radded_classes\x18\x06 \x03(\tB\x13\n\x11_class_similarity"/\n\x0cEmbedRequest\x12\r\n\x05image\x18\x01 \x01(\x0c\x12\x10\n\x08snapshot\x18\x02 \x01(\t"i\n\rEmbedResponse\x12/\n\nattributes\x18\x01 \x03(\x0b2\x1b.duet.v1.AttributeEmbedding\x12\x18\n\x10global_embedding\x18\x02 \x03(\x02\x12\r\n\x05model\x18\x03 \x01(\t"d\n\x12AttributeEmbedding\x12\x11\n\tattribute\x18\x01 \x01(\t\x12\x11\n\tembedding\x18\x02 \x03(\x02\x12(\n\x07classes\x18\x03 \x03(\x0b2\x17.duet.v1.ClassEmbedding"Y\n\x0eClassEmbedding\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x13\n\x0bprobability\x18\x02 \x01(\x01\x12\x11\n\tpredicted\x18\x03 \x01(\x08\x12\x11\n\tembedding\x18\x04 \x03(\x02*<\n\x05Match\x12\x15\n\x11MATCH_UNSPECIFIED\x10\x00\x12\r\n\tMATCH_ALL\x10\x01\x12\r\n\tMATCH_ANY\x10\x02*\xa6\x01\n\x15ManipulationOperation\x12&\n"MANIPULATION_OPERATION_UNSPECIFIED\x10\x00\x12"\n\x1eMANIPULATION_OPERATION_REPLACE\x10\x01\x12\x1e\n\x1aMANIPULATION_OPERATION_ADD\x10\x02\x12!\n\x1dMANIPULATION_OPERATION_REMOVE\x10\x032\x8e\x02\n\rSearchService\x129\n\x06Search\x12\x16.duet.v1.SearchRequest\x1a\x17.duet.v1.SearchResponse\x12L\n\x0bBatchSearch\x12\x1b.duet.v1.BatchSearchRequest\x1a\x1c.duet.v1.BatchSearchResponse(\x010\x01\x12<\n\x07Explain\x12\x17.duet.v1.ExplainRequest\x1a\x18.duet.v1.ExplainResponse\x126\n\x05Embed\x12\x15.duet.v1.EmbedRequest\x1a\x16.duet.v1.EmbedResponseb\x06proto3')
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'duet.v1.search_pb2', _globals)
if not _descriptor._USE_C_DESCRIPTORS:
    DESCRIPTOR._loaded_options = None
    _globals['_HIT_METADATAENTRY']._loaded_options = None
    _globals['_HIT_METADATAENTRY']._serialized_options = b'8\x01'
    _globals['_MATCH']._serialized_start = 2929
    _globals['_MATCH']._serialized_end = 2989
    _globals['_MANIPULATIONOPERATION']._serialized_start = 2992
    _globals['_MANIPULATIONOPERATION']._serialized_end = 3158
    _globals['_SEARCHREQUEST']._serialized_start = 142
    _globals['_SEARCHREQUEST']._serialized_end = 464
    _globals['_ATTRIBUTECONDITION']._serialized_start = 467
    _globals['_ATTRIBUTECONDITION']._serialized_end = 612
    _globals['_MANIPULATION']._serialized_start = 614
    _globals['_MANIPULATION']._serialized_end = 736
    _globals['_SEARCHRESPONSE']._serialized_start = 739
    _globals['_SEARCHRESPONSE']._serialized_end = 957
    _globals['_BATCHSEARCHREQUEST']._serialized_start = 959
    _globals['_BATCHSEARCHREQUEST']._serialized_end = 1019
    _globals['_BATCHSEARCHRESPONSE']._serialized_start = 1021
    _globals['_BATCHSEARCHRESPONSE']._serialized_end = 1136
    _globals['_SEARCHERROR']._serialized_start = 1138
    _globals['_SEARCHERROR']._serialized_end = 1213
    _globals['_EXPLAINREQUEST']._serialized_start = 1215
    _globals['_EXPLAINREQUEST']._serialized_end = 1306
    _globals['_EXPLAINRESPONSE']._serialized_start = 1309
    _globals['_EXPLAINRESPONSE']._serialized_end = 1532
    _globals['_ATTRIBUTEEXPLANATION']._serialized_start = 1535
    _globals['_ATTRIBUTEEXPLANATION']._serialized_end = 1691
    _globals['_CLASSEXPLANATION']._serialized_start = 1694
    _globals['_CLASSEXPLANATION']._serialized_end = 1846
    _globals['_CLASSCHANGE']._serialized_start = 1848
    _globals['_CLASSCHANGE']._serialized_end = 1928
    _globals['_ATTENTIONMAP']._serialized_start = 1930
    _globals['_ATTENTIONMAP']._serialized_end = 2051
    _globals['_STAGETIMING']._serialized_start = 2053
    _globals['_STAGETIMING']._serialized_end = 2126
    _globals['_HIT']._serialized_start = 2129
    _globals['_HIT']._serialized_end = 2370
    _globals['_HIT_METADATAENTRY']._serialized_start = 2307
    _globals['_HIT_METADATAENTRY']._serialized_end = 2370
    _globals['_CONTRIBUTION']._serialized_start = 2373
    _globals['_CONTRIBUTION']._serialized_end = 2578
    _globals['_EMBEDREQUEST']._serialized_start = 2580
    _globals['_EMBEDREQUEST']._serialized_end = 2627
    _globals['_EMBEDRESPONSE']._serialized_start = 2629
    _globals['_EMBEDRESPONSE']._serialized_end = 2734
    _globals['_ATTRIBUTEEMBEDDING']._serialized_start = 2736
    _globals['_ATTRIBUTEEMBEDDING']._serialized_end = 2836
    _globals['_CLASSEMBEDDING']._serialized_start = 2838
    _globals['_CLASSEMBEDDING']._serialized_end = 2927
    _globals['_SEARCHSERVICE']._serialized_start = 3161
    _globals['_SEARCHSERVICE']._serialized_end = 3431