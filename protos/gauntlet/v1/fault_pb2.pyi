from protos.gauntlet.v1 import artifact_pb2 as _artifact_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

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

class FaultLifetime(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAULT_LIFETIME_UNSPECIFIED: _ClassVar[FaultLifetime]
    FAULT_LIFETIME_TRANSIENT: _ClassVar[FaultLifetime]
    FAULT_LIFETIME_PERMANENT: _ClassVar[FaultLifetime]
    FAULT_LIFETIME_INTERMITTENT: _ClassVar[FaultLifetime]
FAULT_SITE_UNSPECIFIED: FaultSite
FAULT_SITE_WEIGHTS: FaultSite
FAULT_SITE_BEFORE_ACTIVATION: FaultSite
FAULT_SITE_AFTER_ACTIVATION: FaultSite
FAULT_SCALE_UNSPECIFIED: FaultScale
FAULT_SCALE_DEPLOYED: FaultScale
FAULT_SCALE_POWER_OF_TWO: FaultScale
FAULT_LIFETIME_UNSPECIFIED: FaultLifetime
FAULT_LIFETIME_TRANSIENT: FaultLifetime
FAULT_LIFETIME_PERMANENT: FaultLifetime
FAULT_LIFETIME_INTERMITTENT: FaultLifetime

class FaultPlan(_message.Message):
    __slots__ = ("fault_model", "site", "scale", "targets", "seed", "half_width", "confidence", "min_patterns", "max_patterns", "first_pattern", "operations", "lowest_bit", "highest_bit", "lifetime", "duty", "protected_bits", "budget_s", "record")
    class ProtectedBitsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
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
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    LOWEST_BIT_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_BIT_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    DUTY_FIELD_NUMBER: _ClassVar[int]
    PROTECTED_BITS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_S_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
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
    operations: _containers.RepeatedScalarFieldContainer[str]
    lowest_bit: int
    highest_bit: int
    lifetime: FaultLifetime
    duty: float
    protected_bits: _containers.ScalarMap[str, int]
    budget_s: float
    record: _artifact_pb2.ArtifactRef
    def __init__(self, fault_model: _Optional[str] = ..., site: _Optional[_Union[FaultSite, str]] = ..., scale: _Optional[_Union[FaultScale, str]] = ..., targets: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., half_width: _Optional[float] = ..., confidence: _Optional[float] = ..., min_patterns: _Optional[int] = ..., max_patterns: _Optional[int] = ..., first_pattern: _Optional[int] = ..., operations: _Optional[_Iterable[str]] = ..., lowest_bit: _Optional[int] = ..., highest_bit: _Optional[int] = ..., lifetime: _Optional[_Union[FaultLifetime, str]] = ..., duty: _Optional[float] = ..., protected_bits: _Optional[_Mapping[str, int]] = ..., budget_s: _Optional[float] = ..., record: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...
