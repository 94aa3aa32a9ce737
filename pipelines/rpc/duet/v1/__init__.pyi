from . import catalog_pb2
from . import class_probability_pb2
from . import filter_pb2
from . import search_pb2
from . import value_pb2
