from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FaultSite(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAULT_SITE_UNSPECIFIED: _ClassVar[FaultSite]
    FAULT_SITE_WEIGHTS: _ClassVar[FaultSite]
    FAULT_SITE_BEFORE_ACTIVATION: _ClassVar[FaultSite]
    FAULT_SITE_AFTER_ACTIVATION: _ClassVar[FaultSite]

class FaultScale(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAULT_SCALE_UNSPECIFIED: _ClassVar[FaultScale]
    FAULT_SCALE_DEPLOYED: _ClassVar[FaultScale]
    FAULT_SCALE_POWER_OF_TWO: _ClassVar[FaultScale]
FAULT_SITE_UNSPECIFIED: FaultSite
FAULT_SITE_WEIGHTS: FaultSite
FAULT_SITE_BEFORE_ACTIVATION: FaultSite
FAULT_SITE_AFTER_ACTIVATION: FaultSite
FAULT_SCALE_UNSPECIFIED: FaultScale
FAULT_SCALE_DEPLOYED: FaultScale
FAULT_SCALE_POWER_OF_TWO: FaultScale

class FaultPlan(_message.Message):
    __slots__ = ("fault_model", "site", "scale", "targets", "seed", "half_width", "confidence", "min_patterns", "max_patterns", "first_pattern")
    FAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    HALF_WIDTH_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    MIN_PATTERNS_FIELD_NUMBER: _ClassVar[int]
    MAX_PATTERNS_FIELD_NUMBER: _ClassVar[int]
    FIRST_PATTERN_FIELD_NUMBER: _ClassVar[int]
    fault_model: str
    site: FaultSite
    scale: FaultScale
    targets: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    half_width: float
    confidence: float
    min_patterns: int
    max_patterns: int
    first_pattern: int
    def __init__(self, fault_model: _Optional[str] = ..., site: _Optional[_Union[FaultSite, str]] = ..., scale: _Optional[_Union[FaultScale, str]] = ..., targets: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., half_width: _Optional[float] = ..., confidence: _Optional[float] = ..., min_patterns: _Optional[int] = ..., max_patterns: _Optional[int] = ..., first_pattern: _Optional[int] = ...) -> None: ...
