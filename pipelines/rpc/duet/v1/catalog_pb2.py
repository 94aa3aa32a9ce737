"""Generated protocol buffer code."""
from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf import runtime_version as _runtime_version
from google.protobuf import symbol_database as _symbol_database
from google.protobuf.internal import builder as _builder
_runtime_version.ValidateProtobufRuntimeVersion(_runtime_version.Domain.PUBLIC, 6, 31, 1, '', 'duet/v1/catalog.proto')
_sym_db = _symbol_database.Default()
from ...duet.v1 import class_probability_pb2 as duet_dot_v1_dot_class__probability__pb2
from ...duet.v1 import filter_pb2 as duet_dot_v1_dot_filter__pb2
from ...duet.v1 import value_pb2 as duet_dot_v1_dot_value__pb2
from google.protobuf import timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\n\x15duet/v1/catalog.proto\x12\x07duet.v1\x1a\x1fduet/v1/class_probability.proto\x1a\x14duet/v1/filter.proto\x1a\x13duet/v1/value.proto\x1a\x1fgoogle/protobuf/timestamp.proto"&\n\x12GetTaxonomyRequest\x12\x10\n\x08snapshot\x18\x01 \x01(\t"\x82\x01\n\x13GetTaxonomyResponse\x12&\n\nattributes\x18\x01 \x03(\x0b2\x12.duet.v1.Attribute\x121\n\x10metadata_columns\x18\x02 \x03(\x0b2\x17.duet.v1.MetadataColumn\x12\x10\n\x08snapshot\x18\x03 \x01(\t"?\n\tAttribute\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x0f\n\x07classes\x18\x02 \x03(\t\x12\x13\n\x0bmulti_label\x18\x03 \x01(\x08"0\n\x0eGetItemRequest\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x10\n\x08snapshot\x18\x02 \x01(\t".\n\x0fGetItemResponse\x12\x1b\n\x04item\x18\x01 \x01(\x0b2\r.duet.v1.Item"\xe7\x01\n\x04Item\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x0f\n\x07item_id\x18\x02 \x01(\t\x12\x11\n\timage_uri\x18\x03 \x01(\t\x12\x11\n\tthumbnail\x18\x04 \x01(\x0c\x12-\n\x08metadata\x18\x05 \x03(\x0b2\x1b.duet.v1.Item.MetadataEntry\x12*\n\nattributes\x18\x06 \x03(\x0b2\x16.duet.v1.ItemAttribute\x1a?\n\rMetadataEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12\x1d\n\x05value\x18\x02 \x01(\x0b2\x0e.duet.v1.Value:\x028\x01"b\n\rItemAttribute\x12\x11\n\tattribute\x18\x01 \x01(\t\x12\x0e\n\x06labels\x18\x02 \x03(\t\x12.\n\x0bpredictions\x18\x03 \x03(\x0b2\x19.duet.v1.ClassProbability"\x80\x01\n\x10ListItemsRequest\x12\x11\n\tpage_size\x18\x01 \x01(\x05\x12\x12\n\npage_token\x18\x02 \x01(\t\x12\x10\n\x08snapshot\x18\x03 \x01(\t\x12\x1f\n\x06filter\x18\x04 \x01(\x0b2\x0f.duet.v1.Filter\x12\x12\n\nthumbnails\x18\x05 \x01(\x08"q\n\x11ListItemsResponse\x12\x1c\n\x05items\x18\x01 \x03(\x0b2\r.duet.v1.Item\x12\x17\n\x0fnext_page_token\x18\x02 \x01(\t\x12\x13\n\x0btotal_items\x18\x03 \x01(\x03\x12\x10\n\x08snapshot\x18\x04 \x01(\t"K\n\x12UpsertItemsRequest\x12\x12\n\nrequest_id\x18\x01 \x01(\t\x12!\n\x04item\x18\x02 \x01(\x0b2\x13.duet.v1.UpsertItem"\xe9\x01\n\nUpsertItem\x12\x0f\n\x07item_id\x18\x01 \x01(\t\x12\x0f\n\x05image\x18\x02 \x01(\x0cH\x00\x12\x13\n\timage_uri\x18\x03 \x01(\tH\x00\x123\n\x08metadata\x18\x04 \x03(\x0b2!.duet.v1.UpsertItem.MetadataEntry\x12#\n\x06labels\x18\x05 \x03(\x0b2\x13.duet.v1.ItemLabels\x1a?\n\rMetadataEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12\x1d\n\x05value\x18\x02 \x01(\x0b2\x0e.duet.v1.Value:\x028\x01B\t\n\x07picture"0\n\nItemLabels\x12\x11\n\tattribute\x18\x01 \x01(\t\x12\x0f\n\x07classes\x18\x02 \x03(\t"\x84\x01\n\x13UpsertItemsResponse\x12\x10\n\x08snapshot\x18\x01 \x01(\t\x12\x15\n\rchanged_count\x18\x02 \x01(\x05\x12\x17\n\x0funchanged_count\x18\x03 \x01(\x05\x12+\n\rrefused_items\x18\x04 \x03(\x0b2\x14.duet.v1.RefusedItem"?\n\x0bRefusedItem\x12\x0f\n\x07item_id\x18\x01 \x01(\t\x12\x0e\n\x06reason\x18\x02 \x01(\t\x12\x0f\n\x07message\x18\x03 \x01(\t":\n\x12DeleteItemsRequest\x12\x12\n\nrequest_id\x18\x01 \x01(\t\x12\x10\n\x08item_ids\x18\x02 \x03(\t"T\n\x13DeleteItemsResponse\x12\x10\n\x08snapshot\x18\x01 \x01(\t\x12\x15\n\rdeleted_count\x18\x02 \x01(\x05\x12\x14\n\x0cabsent_count\x18\x03 \x01(\x05">\n\x16PublishSnapshotRequest\x12\x12\n\nrequest_id\x18\x01 \x01(\t\x12\x10\n\x08snapshot\x18\x02 \x01(\t">\n\x17PublishSnapshotResponse\x12#\n\x08snapshot\x18\x01 \x01(\x0b2\x11.duet.v1.Snapshot""\n\x12GetSnapshotRequest\x12\x0c\n\x04name\x18\x01 \x01(\t":\n\x13GetSnapshotResponse\x12#\n\x08snapshot\x18\x01 \x01(\x0b2\x11.duet.v1.Snapshot"=\n\x14ListSnapshotsRequest\x12\x11\n\tpage_size\x18\x01 \x01(\x05\x12\x12\n\npage_token\x18\x02 \x01(\t"V\n\x15ListSnapshotsResponse\x12$\n\tsnapshots\x18\x01 \x03(\x0b2\x11.duet.v1.Snapshot\x12\x17\n\x0fnext_page_token\x18\x02 \x01(\t"m\n\x08Snapshot\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\r\n\x05model\x18\x02 \x01(\t\x120\n\x0cpublish_time\x18\x03 \x01(\x0b2\x1a.google.protobuf.Timestamp\x12\x12\n\nitem_count\x18\x04 \x01(\x03"C\n\x0eMetadataColumn\x12\x0c\n\x04name\x18\x01 \x01(\t\x12#\n\x04type\x18\x02 \x01(\x0e2\x15.duet.v1.MetadataType"\x12\n\x10GetLimitsRequest"4\n\x11GetLimitsResponse\x12\x1f\n\x06limits\x18\x01 \x01(\x0b2\x0f.duet.v1.Limits"\xce\x02\n\x06Limits\x12\x13\n\x0bimage_bytes\x18\x01 \x01(\x03\x12\x14\n\x0cimage_pixels\x18\x02 \x01(\x03\x12\x11\n\tpage_size\x18\x03 \x01(\x05\x12\x1c\n\x14attribute_conditions\x18\x04 \x01(\x05\x12\x1d\n\x15classes_per_condition\x18\x05 \x01(\x05\x12\x15\n\rmanipulations\x18\x06 \x01(\x05\x12\x14\n\x0cfilter_nodes\x18\x07 \x01(\x05\x12\x14\n\x0cfilter_depth\x18\x08 \x01(\x05\x12\x15\n\rfilter_values\x18\t \x01(\x05\x12\x13\n\x0btext_length\x18\n \x01(\x05\x12\x16\n\x0ebatch_searches\x18\x0b \x01(\x05\x12\x15\n\rchanged_items\x18\x0c \x01(\x05\x12\x15\n\rchanged_bytes\x18\r \x01(\x03\x12\x14\n\x0cidle_seconds\x18\x0e \x01(\x01*\xad\x01\n\x0cMetadataType\x12\x1d\n\x19METADATA_TYPE_UNSPECIFIED\x10\x00\x12\x18\n\x14METADATA_TYPE_STRING\x10\x01\x12\x16\n\x12METADATA_TYPE_BOOL\x10\x02\x12\x15\n\x11METADATA_TYPE_INT\x10\x03\x12\x18\n\x14METADATA_TYPE_DOUBLE\x10\x04\x12\x1b\n\x17METADATA_TYPE_TIMESTAMP\x10\x052\xa6\x05\n\x0eCatalogService\x12H\n\x0bGetTaxonomy\x12\x1b.duet.v1.GetTaxonomyRequest\x1a\x1c.duet.v1.GetTaxonomyResponse\x12<\n\x07GetItem\x12\x17.duet.v1.GetItemRequest\x1a\x18.duet.v1.GetItemResponse\x12B\n\tListItems\x12\x19.duet.v1.ListItemsRequest\x1a\x1a.duet.v1.ListItemsResponse\x12J\n\x0bUpsertItems\x12\x1b.duet.v1.UpsertItemsRequest\x1a\x1c.duet.v1.UpsertItemsResponse(\x01\x12H\n\x0bDeleteItems\x12\x1b.duet.v1.DeleteItemsRequest\x1a\x1c.duet.v1.DeleteItemsResponse\x12H\n\x0bGetSnapshot\x12\x1b.duet.v1.GetSnapshotRequest\x1a\x1c.duet.v1.GetSnapshotResponse\x12N\n\rListSnapshots\x12\x1d.duet.v1.ListSnapshotsRequest\x1a\x1e.duet.v1.ListSnapshotsResponse\x12T\n\x0fPublishSnapshot\x12\x1f.duet.v1.PublishSnapshotRequest\x1a .duet.v1.PublishSnapshotResponse\x12B\n\tGetLimits\x12\x19.duet.v1.GetLimitsRequest\x1a\x1a.duet.v1.GetLimitsResponseb\x06proto3')
_globals = globals()
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _globals)
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, 'duet.v1.catalog_pb2', _globals)
if not _descriptor._USE_C_DESCRIPTORS:
    DESCRIPTOR._loaded_options = None
    _globals['_ITEM_METADATAENTRY']._loaded_options = None
    _globals['_ITEM_METADATAENTRY']._serialized_options = b'8\x01'
    _globals['_UPSERTITEM_METADATAENTRY']._loaded_options = None
    _globals['_UPSERTITEM_METADATAENTRY']._serialized_options = b'8\x01'
    _globals['_METADATATYPE']._serialized_start = 2735
    _globals['_METADATATYPE']._serialized_end = 2908
    _globals['_GETTAXONOMYREQUEST']._serialized_start = 143
    _globals['_GETTAXONOMYREQUEST']._serialized_end = 181
    _globals['_GETTAXONOMYRESPONSE']._serialized_start = 184
    _globals['_GETTAXONOMYRESPONSE']._serialized_end = 314
    _globals['_ATTRIBUTE']._serialized_start = 316
    _globals['_ATTRIBUTE']._serialized_end = 379
    _globals['_GETITEMREQUEST']._serialized_start = 381
    _globals['_GETITEMREQUEST']._serialized_end = 429
    _globals['_GETITEMRESPONSE']._serialized_start = 431
    _globals['_GETITEMRESPONSE']._serialized_end = 477
    _globals['_ITEM']._serialized_start = 480
    _globals['_ITEM']._serialized_end = 711
    _globals['_ITEM_METADATAENTRY']._serialized_start = 648
    _globals['_ITEM_METADATAENTRY']._serialized_end = 711
    _globals['_ITEMATTRIBUTE']._serialized_start = 713
    _globals['_ITEMATTRIBUTE']._serialized_end = 811
    _globals['_LISTITEMSREQUEST']._serialized_start = 814
    _globals['_LISTITEMSREQUEST']._serialized_end = 942
    _globals['_LISTITEMSRESPONSE']._serialized_start = 944
    _globals['_LISTITEMSRESPONSE']._serialized_end = 1057
    _globals['_UPSERTITEMSREQUEST']._serialized_start = 1059
    _globals['_UPSERTITEMSREQUEST']._serialized_end = 1134
    _globals['_UPSERTITEM']._serialized_start = 1137
    _globals['_UPSERTITEM']._serialized_end = 1370
    _globals['_UPSERTITEM_METADATAENTRY']._serialized_start = 648
    _globals['_UPSERTITEM_METADATAENTRY']._serialized_end = 711
    _globals['_ITEMLABELS']._serialized_start = 1372
    _globals['_ITEMLABELS']._serialized_end = 1420
    _globals['_UPSERTITEMSRESPONSE']._serialized_start = 1423
    _globals['_UPSERTITEMSRESPONSE']._serialized_end = 1555
    _globals['_REFUSEDITEM']._serialized_start = 1557
    _globals['_REFUSEDITEM']._serialized_end = 1620
    _globals['_DELETEITEMSREQUEST']._serialized_start = 1622
    _globals['_DELETEITEMSREQUEST']._serialized_end = 1680
    _globals['_DELETEITEMSRESPONSE']._serialized_start = 1682
    _globals['_DELETEITEMSRESPONSE']._serialized_end = 1766
    _globals['_PUBLISHSNAPSHOTREQUEST']._serialized_start = 1768
    _globals['_PUBLISHSNAPSHOTREQUEST']._serialized_end = 1830
    _globals['_PUBLISHSNAPSHOTRESPONSE']._serialized_start = 1832
    _globals['_PUBLISHSNAPSHOTRESPONSE']._serialized_end = 1894
    _globals['_GETSNAPSHOTREQUEST']._serialized_start = 1896
    _globals['_GETSNAPSHOTREQUEST']._serialized_end = 1930
    _globals['_GETSNAPSHOTRESPONSE']._serialized_start = 1932
    _globals['_GETSNAPSHOTRESPONSE']._serialized_end = 1990
    _globals['_LISTSNAPSHOTSREQUEST']._serialized_start = 1992
    _globals['_LISTSNAPSHOTSREQUEST']._serialized_end = 2053
    _globals['_LISTSNAPSHOTSRESPONSE']._serialized_start = 2055
    _globals['_LISTSNAPSHOTSRESPONSE']._serialized_end = 2141
    _globals['_SNAPSHOT']._serialized_start = 2143
    _globals['_SNAPSHOT']._serialized_end = 2252
    _globals['_METADATACOLUMN']._serialized_start = 2254
    _globals['_METADATACOLUMN']._serialized_end = 2321
    _globals['_GETLIMITSREQUEST']._serialized_start = 2323
    _globals['_GETLIMITSREQUEST']._serialized_end = 2341
    _globals['_GETLIMITSRESPONSE']._serialized_start = 2343
    _globals['_GETLIMITSRESPONSE']._serialized_end = 2395
    _globals['_LIMITS']._serialized_start = 2398
    _globals['_LIMITS']._serialized_end = 2732
    _globals['_CATALOGSERVICE']._serialized_start = 2911
    _globals['_CATALOGSERVICE']._serialized_end = 3589