from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORIGIN_UNSPECIFIED: _ClassVar[Origin]
    ORIGIN_MEASURED: _ClassVar[Origin]
    ORIGIN_PREDICTED: _ClassVar[Origin]
    ORIGIN_ESTIMATED: _ClassVar[Origin]
    ORIGIN_REPLAYED: _ClassVar[Origin]
ORIGIN_UNSPECIFIED: Origin
ORIGIN_MEASURED: Origin
ORIGIN_PREDICTED: Origin
ORIGIN_ESTIMATED: Origin
ORIGIN_REPLAYED: Origin

class Interval(_message.Message):
    __slots__ = ("low", "high", "confidence", "method")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    confidence: float
    method: str
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., confidence: _Optional[float] = ..., method: _Optional[str] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("value", "interval", "samples")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    value: float
    interval: Interval
    samples: int
    def __init__(self, value: _Optional[float] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ..., samples: _Optional[int] = ...) -> None: ...

class Figure(_message.Message):
    __slots__ = ("origin", "estimate", "unavailable")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    origin: Origin
    estimate: Estimate
    unavailable: str
    def __init__(self, origin: _Optional[_Union[Origin, str]] = ..., estimate: _Optional[_Union[Estimate, _Mapping]] = ..., unavailable: _Optional[str] = ...) -> None: ...
