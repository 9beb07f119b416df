from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FailureKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_KIND_UNSPECIFIED: _ClassVar[FailureKind]
    FAILURE_KIND_INVALID_MODEL: _ClassVar[FailureKind]
    FAILURE_KIND_UNSUPPORTED_OPERATION: _ClassVar[FailureKind]
    FAILURE_KIND_WRONG_OUTPUT: _ClassVar[FailureKind]
    FAILURE_KIND_RUNTIME_ABSENT: _ClassVar[FailureKind]
    FAILURE_KIND_OUT_OF_MEMORY: _ClassVar[FailureKind]
    FAILURE_KIND_CRASHED: _ClassVar[FailureKind]
    FAILURE_KIND_TIMED_OUT: _ClassVar[FailureKind]
    FAILURE_KIND_QUEUE_DEADLINE: _ClassVar[FailureKind]
    FAILURE_KIND_DEVICE_LOST: _ClassVar[FailureKind]
    FAILURE_KIND_DEVICE_UNFIT: _ClassVar[FailureKind]
    FAILURE_KIND_CORRUPT_ARTIFACT: _ClassVar[FailureKind]
    FAILURE_KIND_DISK_FULL: _ClassVar[FailureKind]
    FAILURE_KIND_CANCELLED: _ClassVar[FailureKind]
    FAILURE_KIND_INTERNAL: _ClassVar[FailureKind]
    FAILURE_KIND_INVALID_DATA: _ClassVar[FailureKind]
FAILURE_KIND_UNSPECIFIED: FailureKind
FAILURE_KIND_INVALID_MODEL: FailureKind
FAILURE_KIND_UNSUPPORTED_OPERATION: FailureKind
FAILURE_KIND_WRONG_OUTPUT: FailureKind
FAILURE_KIND_RUNTIME_ABSENT: FailureKind
FAILURE_KIND_OUT_OF_MEMORY: FailureKind
FAILURE_KIND_CRASHED: FailureKind
FAILURE_KIND_TIMED_OUT: FailureKind
FAILURE_KIND_QUEUE_DEADLINE: FailureKind
FAILURE_KIND_DEVICE_LOST: FailureKind
FAILURE_KIND_DEVICE_UNFIT: FailureKind
FAILURE_KIND_CORRUPT_ARTIFACT: FailureKind
FAILURE_KIND_DISK_FULL: FailureKind
FAILURE_KIND_CANCELLED: FailureKind
FAILURE_KIND_INTERNAL: FailureKind
FAILURE_KIND_INVALID_DATA: FailureKind

class Failure(_message.Message):
    __slots__ = ("kind", "message", "remedy", "signal", "stderr_tail", "last_step")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STDERR_TAIL_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_FIELD_NUMBER: _ClassVar[int]
    kind: FailureKind
    message: str
    remedy: str
    signal: int
    stderr_tail: str
    last_step: str
    def __init__(self, kind: _Optional[_Union[FailureKind, str]] = ..., message: _Optional[str] = ..., remedy: _Optional[str] = ..., signal: _Optional[int] = ..., stderr_tail: _Optional[str] = ..., last_step: _Optional[str] = ...) -> None: ...
