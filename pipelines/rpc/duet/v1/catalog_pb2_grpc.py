"""Client and server classes corresponding to protobuf-defined services."""
import grpc
import warnings
from ...duet.v1 import catalog_pb2 as duet_dot_v1_dot_catalog__pb2
GRPC_GENERATED_VERSION = '1.80.0'
GRPC_VERSION = grpc.__version__
_version_not_supported = False
try:
    from grpc._utilities import first_version_is_lower
    _version_not_supported = first_version_is_lower(GRPC_VERSION, GRPC_GENERATED_VERSION)
except ImportError:
    _version_not_supported = True
if _version_not_supported:
    raise RuntimeError(f'The grpc package installed is at version {GRPC_VERSION},' + ' but the generated code in duet/v1/catalog_pb2_grpc.py depends on' + f' grpcio>={GRPC_GENERATED_VERSION}.' + f' Please upgrade your grpc module to grpcio>={GRPC_GENERATED_VERSION}' + f' or downgrade your generated code using grpcio-tools<={GRPC_VERSION}.')

class CatalogServiceStub(object):
    """What the catalogue holds and what may be asked of it.
    """

    def __init__(self, channel):
        """Constructor.

        Args:
            channel: A grpc.Channel.
        """
        self.GetTaxonomy = channel.unary_unary('/duet.v1.CatalogService/GetTaxonomy', request_serializer=duet_dot_v1_dot_catalog__pb2.GetTaxonomyRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.GetTaxonomyResponse.FromString, _registered_method=True)
        self.GetItem = channel.unary_unary('/duet.v1.CatalogService/GetItem', request_serializer=duet_dot_v1_dot_catalog__pb2.GetItemRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.GetItemResponse.FromString, _registered_method=True)
        self.ListItems = channel.unary_unary('/duet.v1.CatalogService/ListItems', request_serializer=duet_dot_v1_dot_catalog__pb2.ListItemsRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.ListItemsResponse.FromString, _registered_method=True)
        self.UpsertItems = channel.stream_unary('/duet.v1.CatalogService/UpsertItems', request_serializer=duet_dot_v1_dot_catalog__pb2.UpsertItemsRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.UpsertItemsResponse.FromString, _registered_method=True)
        self.DeleteItems = channel.unary_unary('/duet.v1.CatalogService/DeleteItems', request_serializer=duet_dot_v1_dot_catalog__pb2.DeleteItemsRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.DeleteItemsResponse.FromString, _registered_method=True)
        self.GetSnapshot = channel.unary_unary('/duet.v1.CatalogService/GetSnapshot', request_serializer=duet_dot_v1_dot_catalog__pb2.GetSnapshotRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.GetSnapshotResponse.FromString, _registered_method=True)
        self.ListSnapshots = channel.unary_unary('/duet.v1.CatalogService/ListSnapshots', request_serializer=duet_dot_v1_dot_catalog__pb2.ListSnapshotsRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.ListSnapshotsResponse.FromString, _registered_method=True)
        self.PublishSnapshot = channel.unary_unary('/duet.v1.CatalogService/PublishSnapshot', request_serializer=duet_dot_v1_dot_catalog__pb2.PublishSnapshotRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.PublishSnapshotResponse.FromString, _registered_method=True)
        self.GetLimits = channel.unary_unary('/duet.v1.CatalogService/GetLimits', request_serializer=duet_dot_v1_dot_catalog__pb2.GetLimitsRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_catalog__pb2.GetLimitsResponse.FromString, _registered_method=True)

class CatalogServiceServicer(object):
    """What the catalogue holds and what may be asked of it.
    """

    def GetTaxonomy(self, request, context):
        """The attributes, classes and metadata columns that requests may name.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def GetItem(self, request, context):
        """Missing associated documentation comment in .proto file."""
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def ListItems(self, request, context):
        """In the order of their ids.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def UpsertItems(self, request_iterator, context):
        """Put items in, or in the place of those that there are, and publish: the next search sees them. For small, immediate
        changes; a catalogue comes in by `duet ingest`. All items of one stream are committed together.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def DeleteItems(self, request, context):
        """Take items out, and publish: the next search does not see them.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def GetSnapshot(self, request, context):
        """Missing associated documentation comment in .proto file."""
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def ListSnapshots(self, request, context):
        """Newest first.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def PublishSnapshot(self, request, context):
        """Serve another snapshot: an earlier one again, which undoes what its generation got since.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def GetLimits(self, request, context):
        """What a request may hold; more is refused.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

def add_CatalogServiceServicer_to_server(servicer, server):
    rpc_method_handlers = {'GetTaxonomy': grpc.unary_unary_rpc_method_handler(servicer.GetTaxonomy, request_deserializer=duet_dot_v1_dot_catalog__pb2.GetTaxonomyRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.GetTaxonomyResponse.SerializeToString), 'GetItem': grpc.unary_unary_rpc_method_handler(servicer.GetItem, request_deserializer=duet_dot_v1_dot_catalog__pb2.GetItemRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.GetItemResponse.SerializeToString), 'ListItems': grpc.unary_unary_rpc_method_handler(servicer.ListItems, request_deserializer=duet_dot_v1_dot_catalog__pb2.ListItemsRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.ListItemsResponse.SerializeToString), 'UpsertItems': grpc.stream_unary_rpc_method_handler(servicer.UpsertItems, request_deserializer=duet_dot_v1_dot_catalog__pb2.UpsertItemsRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.UpsertItemsResponse.SerializeToString), 'DeleteItems': grpc.unary_unary_rpc_method_handler(servicer.DeleteItems, request_deserializer=duet_dot_v1_dot_catalog__pb2.DeleteItemsRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.DeleteItemsResponse.SerializeToString), 'GetSnapshot': grpc.unary_unary_rpc_method_handler(servicer.GetSnapshot, request_deserializer=duet_dot_v1_dot_catalog__pb2.GetSnapshotRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.GetSnapshotResponse.SerializeToString), 'ListSnapshots': grpc.unary_unary_rpc_method_handler(servicer.ListSnapshots, request_deserializer=duet_dot_v1_dot_catalog__pb2.ListSnapshotsRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.ListSnapshotsResponse.SerializeToString), 'PublishSnapshot': grpc.unary_unary_rpc_method_handler(servicer.PublishSnapshot, request_deserializer=duet_dot_v1_dot_catalog__pb2.PublishSnapshotRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.PublishSnapshotResponse.SerializeToString), 'GetLimits': grpc.unary_unary_rpc_method_handler(servicer.GetLimits, request_deserializer=duet_dot_v1_dot_catalog__pb2.GetLimitsRequest.FromString, response_serializer=duet_dot_v1_dot_catalog__pb2.GetLimitsResponse.SerializeToString)}
    generic_handler = grpc.method_handlers_generic_handler('duet.v1.CatalogService', rpc_method_handlers)
    server.add_generic_rpc_handlers((generic_handler,))
    server.add_registered_method_handlers('duet.v1.CatalogService', rpc_method_handlers)

class CatalogService(object):
    """What the catalogue holds and what may be asked of it.
    """

    @staticmethod
    def GetTaxonomy(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.CatalogService/GetTaxonomy', duet_dot_v1_dot_catalog__pb2.GetTaxonomyRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.GetTaxonomyResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def GetItem(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.CatalogService/GetItem', duet_dot_v1_dot_catalog__pb2.GetItemRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.GetItemResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def ListItems(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.CatalogService/ListItems', duet_dot_v1_dot_catalog__pb2.ListItemsRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.ListItemsResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def UpsertItems(request_iterator, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.stream_unary(request_iterator, target, '/duet.v1.CatalogService/UpsertItems', duet_dot_v1_dot_catalog__pb2.UpsertItemsRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.UpsertItemsResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def DeleteItems(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.CatalogService/DeleteItems', duet_dot_v1_dot_catalog__pb2.DeleteItemsRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.DeleteItemsResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def GetSnapshot(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.CatalogService/GetSnapshot', duet_dot_v1_dot_catalog__pb2.GetSnapshotRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.GetSnapshotResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def ListSnapshots(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.CatalogService/ListSnapshots', duet_dot_v1_dot_catalog__pb2.ListSnapshotsRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.ListSnapshotsResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def PublishSnapshot(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.CatalogService/PublishSnapshot', duet_dot_v1_dot_catalog__pb2.PublishSnapshotRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.PublishSnapshotResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def GetLimits(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.CatalogService/GetLimits', duet_dot_v1_dot_catalog__pb2.GetLimitsRequest.SerializeToString, duet_dot_v1_dot_catalog__pb2.GetLimitsResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)