from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional
DESCRIPTOR: _descriptor.FileDescriptor

class ClassProbability(_message.Message):
    __slots__ = ('name', 'probability')
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    probability: float

    def __init__(self, name: _Optional[str]=..., probability: _Optional[float]=...) -> None:
        ...