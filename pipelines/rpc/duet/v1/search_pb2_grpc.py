"""Client and server classes corresponding to protobuf-defined services."""
import grpc
import warnings
from ...duet.v1 import search_pb2 as duet_dot_v1_dot_search__pb2
GRPC_GENERATED_VERSION = '1.80.0'
GRPC_VERSION = grpc.__version__
_version_not_supported = False
try:
    from grpc._utilities import first_version_is_lower
    _version_not_supported = first_version_is_lower(GRPC_VERSION, GRPC_GENERATED_VERSION)
except ImportError:
    _version_not_supported = True
if _version_not_supported:
    raise RuntimeError(f'The grpc package installed is at version {GRPC_VERSION},' + ' but the generated code in duet/v1/search_pb2_grpc.py depends on' + f' grpcio>={GRPC_GENERATED_VERSION}.' + f' Please upgrade your grpc module to grpcio>={GRPC_GENERATED_VERSION}' + f' or downgrade your generated code using grpcio-tools<={GRPC_VERSION}.')

class SearchServiceStub(object):
    """Fine-grained search in one snapshot of a fashion catalogue.
    """

    def __init__(self, channel):
        """Constructor.

        Args:
            channel: A grpc.Channel.
        """
        self.Search = channel.unary_unary('/duet.v1.SearchService/Search', request_serializer=duet_dot_v1_dot_search__pb2.SearchRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_search__pb2.SearchResponse.FromString, _registered_method=True)
        self.BatchSearch = channel.stream_stream('/duet.v1.SearchService/BatchSearch', request_serializer=duet_dot_v1_dot_search__pb2.BatchSearchRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_search__pb2.BatchSearchResponse.FromString, _registered_method=True)
        self.Explain = channel.unary_unary('/duet.v1.SearchService/Explain', request_serializer=duet_dot_v1_dot_search__pb2.ExplainRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_search__pb2.ExplainResponse.FromString, _registered_method=True)
        self.Embed = channel.unary_unary('/duet.v1.SearchService/Embed', request_serializer=duet_dot_v1_dot_search__pb2.EmbedRequest.SerializeToString, response_deserializer=duet_dot_v1_dot_search__pb2.EmbedResponse.FromString, _registered_method=True)

class SearchServiceServicer(object):
    """Fine-grained search in one snapshot of a fashion catalogue.
    """

    def Search(self, request, context):
        """The items that come nearest to a picture, to an item, or to conditions alone.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def BatchSearch(self, request_iterator, context):
        """Many searches over one connection: as many answers, in the order of the requests. A request that is refused fails
        itself only; bytes that are no request end the batch.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Explain(self, request, context):
        """Why an item is where it is in the answer to a search, and where the encoder looks in the search's picture.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

    def Embed(self, request, context):
        """The duet of a picture: its embeddings and class probabilities.
        """
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details('Method not implemented!')
        raise NotImplementedError('Method not implemented!')

def add_SearchServiceServicer_to_server(servicer, server):
    rpc_method_handlers = {'Search': grpc.unary_unary_rpc_method_handler(servicer.Search, request_deserializer=duet_dot_v1_dot_search__pb2.SearchRequest.FromString, response_serializer=duet_dot_v1_dot_search__pb2.SearchResponse.SerializeToString), 'BatchSearch': grpc.stream_stream_rpc_method_handler(servicer.BatchSearch, request_deserializer=duet_dot_v1_dot_search__pb2.BatchSearchRequest.FromString, response_serializer=duet_dot_v1_dot_search__pb2.BatchSearchResponse.SerializeToString), 'Explain': grpc.unary_unary_rpc_method_handler(servicer.Explain, request_deserializer=duet_dot_v1_dot_search__pb2.ExplainRequest.FromString, response_serializer=duet_dot_v1_dot_search__pb2.ExplainResponse.SerializeToString), 'Embed': grpc.unary_unary_rpc_method_handler(servicer.Embed, request_deserializer=duet_dot_v1_dot_search__pb2.EmbedRequest.FromString, response_serializer=duet_dot_v1_dot_search__pb2.EmbedResponse.SerializeToString)}
    generic_handler = grpc.method_handlers_generic_handler('duet.v1.SearchService', rpc_method_handlers)
    server.add_generic_rpc_handlers((generic_handler,))
    server.add_registered_method_handlers('duet.v1.SearchService', rpc_method_handlers)

class SearchService(object):
    """Fine-grained search in one snapshot of a fashion catalogue.
    """

    @staticmethod
    def Search(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.SearchService/Search', duet_dot_v1_dot_search__pb2.SearchRequest.SerializeToString, duet_dot_v1_dot_search__pb2.SearchResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def BatchSearch(request_iterator, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.stream_stream(request_iterator, target, '/duet.v1.SearchService/BatchSearch', duet_dot_v1_dot_search__pb2.BatchSearchRequest.SerializeToString, duet_dot_v1_dot_search__pb2.BatchSearchResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Explain(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.SearchService/Explain', duet_dot_v1_dot_search__pb2.ExplainRequest.SerializeToString, duet_dot_v1_dot_search__pb2.ExplainResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)

    @staticmethod
    def Embed(request, target, options=(), channel_credentials=None, call_credentials=None, insecure=False, compression=None, wait_for_ready=None, timeout=None, metadata=None):
        return grpc.experimental.unary_unary(request, target, '/duet.v1.SearchService/Embed', duet_dot_v1_dot_search__pb2.EmbedRequest.SerializeToString, duet_dot_v1_dot_search__pb2.EmbedResponse.FromString, options, channel_credentials, insecure, call_credentials, compression, wait_for_ready, timeout, metadata, _registered_method=True)