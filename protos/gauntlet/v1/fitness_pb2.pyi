from protos.gauntlet.v1 import figure_pb2 as _figure_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FitnessVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FITNESS_VERDICT_UNSPECIFIED: _ClassVar[FitnessVerdict]
    FITNESS_VERDICT_GOOD: _ClassVar[FitnessVerdict]
    FITNESS_VERDICT_SHIFTED: _ClassVar[FitnessVerdict]
    FITNESS_VERDICT_BASELINE: _ClassVar[FitnessVerdict]
    FITNESS_VERDICT_UNAVAILABLE: _ClassVar[FitnessVerdict]
FITNESS_VERDICT_UNSPECIFIED: FitnessVerdict
FITNESS_VERDICT_GOOD: FitnessVerdict
FITNESS_VERDICT_SHIFTED: FitnessVerdict
FITNESS_VERDICT_BASELINE: FitnessVerdict
FITNESS_VERDICT_UNAVAILABLE: FitnessVerdict

class FitnessCheck(_message.Message):
    __slots__ = ("check_id", "device_id", "checked_at", "occasion", "verdict", "reference_s", "expected_s", "shift", "reason", "suspect_lease_ids")
    CHECK_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AT_FIELD_NUMBER: _ClassVar[int]
    OCCASION_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_S_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_S_FIELD_NUMBER: _ClassVar[int]
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SUSPECT_LEASE_IDS_FIELD_NUMBER: _ClassVar[int]
    check_id: str
    device_id: str
    checked_at: str
    occasion: str
    verdict: FitnessVerdict
    reference_s: _figure_pb2.Figure
    expected_s: _figure_pb2.Figure
    shift: float
    reason: str
    suspect_lease_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, check_id: _Optional[str] = ..., device_id: _Optional[str] = ..., checked_at: _Optional[str] = ..., occasion: _Optional[str] = ..., verdict: _Optional[_Union[FitnessVerdict, str]] = ..., reference_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., expected_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., shift: _Optional[float] = ..., reason: _Optional[str] = ..., suspect_lease_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class NoiseFloor(_message.Message):
    __slots__ = ("device_id", "floor", "measured_at")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    MEASURED_AT_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    floor: _figure_pb2.Figure
    measured_at: str
    def __init__(self, device_id: _Optional[str] = ..., floor: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., measured_at: _Optional[str] = ...) -> None: ...
