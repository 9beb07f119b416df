from protos.gauntlet.v1 import artifact_pb2 as _artifact_pb2
from protos.gauntlet.v1 import device_pb2 as _device_pb2
from protos.gauntlet.v1 import failure_pb2 as _failure_pb2
from protos.gauntlet.v1 import fitness_pb2 as _fitness_pb2
from protos.gauntlet.v1 import measurement_pb2 as _measurement_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Disposition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPOSITION_UNSPECIFIED: _ClassVar[Disposition]
    DISPOSITION_COMMITTED: _ClassVar[Disposition]
    DISPOSITION_SUPERSEDED: _ClassVar[Disposition]
    DISPOSITION_REFUSED: _ClassVar[Disposition]
DISPOSITION_UNSPECIFIED: Disposition
DISPOSITION_COMMITTED: Disposition
DISPOSITION_SUPERSEDED: Disposition
DISPOSITION_REFUSED: Disposition

class SessionRequest(_message.Message):
    __slots__ = ("hello", "heartbeat", "job_started", "job_progress", "job_finished", "devices_changed", "goodbye", "pong", "fitness_report")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    JOB_STARTED_FIELD_NUMBER: _ClassVar[int]
    JOB_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    JOB_FINISHED_FIELD_NUMBER: _ClassVar[int]
    DEVICES_CHANGED_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    FITNESS_REPORT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    heartbeat: Heartbeat
    job_started: JobStarted
    job_progress: JobProgress
    job_finished: JobFinished
    devices_changed: DevicesChanged
    goodbye: Goodbye
    pong: Pong
    fitness_report: FitnessReport
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., job_started: _Optional[_Union[JobStarted, _Mapping]] = ..., job_progress: _Optional[_Union[JobProgress, _Mapping]] = ..., job_finished: _Optional[_Union[JobFinished, _Mapping]] = ..., devices_changed: _Optional[_Union[DevicesChanged, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., fitness_report: _Optional[_Union[FitnessReport, _Mapping]] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "lease", "cancel_lease", "finished_ack", "ping", "fitness_ack", "request_check")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_LEASE_FIELD_NUMBER: _ClassVar[int]
    FINISHED_ACK_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    FITNESS_ACK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_CHECK_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    lease: Lease
    cancel_lease: CancelLease
    finished_ack: FinishedAck
    ping: Ping
    fitness_ack: FitnessAck
    request_check: RequestCheck
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., lease: _Optional[_Union[Lease, _Mapping]] = ..., cancel_lease: _Optional[_Union[CancelLease, _Mapping]] = ..., finished_ack: _Optional[_Union[FinishedAck, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., fitness_ack: _Optional[_Union[FitnessAck, _Mapping]] = ..., request_check: _Optional[_Union[RequestCheck, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_version", "agent", "devices", "session_epoch", "held_lease_ids")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    SESSION_EPOCH_FIELD_NUMBER: _ClassVar[int]
    HELD_LEASE_IDS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    agent: _device_pb2.AgentDescription
    devices: _containers.RepeatedCompositeFieldContainer[_device_pb2.DeviceDescription]
    session_epoch: str
    held_lease_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, protocol_version: _Optional[int] = ..., agent: _Optional[_Union[_device_pb2.AgentDescription, _Mapping]] = ..., devices: _Optional[_Iterable[_Union[_device_pb2.DeviceDescription, _Mapping]]] = ..., session_epoch: _Optional[str] = ..., held_lease_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol_version", "heartbeat_interval_s", "lease_duration_s", "abandoned_lease_ids")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    LEASE_DURATION_S_FIELD_NUMBER: _ClassVar[int]
    ABANDONED_LEASE_IDS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    heartbeat_interval_s: float
    lease_duration_s: float
    abandoned_lease_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, protocol_version: _Optional[int] = ..., heartbeat_interval_s: _Optional[float] = ..., lease_duration_s: _Optional[float] = ..., abandoned_lease_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("sequence", "held_lease_ids", "telemetry")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HELD_LEASE_IDS_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    held_lease_ids: _containers.RepeatedScalarFieldContainer[str]
    telemetry: _containers.RepeatedCompositeFieldContainer[_device_pb2.DeviceTelemetry]
    def __init__(self, sequence: _Optional[int] = ..., held_lease_ids: _Optional[_Iterable[str]] = ..., telemetry: _Optional[_Iterable[_Union[_device_pb2.DeviceTelemetry, _Mapping]]] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("lease_id", "job_id", "device_id", "measurement", "files")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    job_id: str
    device_id: str
    measurement: _measurement_pb2.MeasurementSpec
    files: _containers.RepeatedCompositeFieldContainer[AttachedFile]
    def __init__(self, lease_id: _Optional[str] = ..., job_id: _Optional[str] = ..., device_id: _Optional[str] = ..., measurement: _Optional[_Union[_measurement_pb2.MeasurementSpec, _Mapping]] = ..., files: _Optional[_Iterable[_Union[AttachedFile, _Mapping]]] = ...) -> None: ...

class CancelLease(_message.Message):
    __slots__ = ("lease_id",)
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    def __init__(self, lease_id: _Optional[str] = ...) -> None: ...

class JobStarted(_message.Message):
    __slots__ = ("lease_id",)
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    def __init__(self, lease_id: _Optional[str] = ...) -> None: ...

class JobProgress(_message.Message):
    __slots__ = ("lease_id", "step")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    step: str
    def __init__(self, lease_id: _Optional[str] = ..., step: _Optional[str] = ...) -> None: ...

class JobFinished(_message.Message):
    __slots__ = ("lease_id", "job_id", "device_id", "result", "failure", "files")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    job_id: str
    device_id: str
    result: _measurement_pb2.MeasurementResult
    failure: _failure_pb2.Failure
    files: _containers.RepeatedCompositeFieldContainer[AttachedFile]
    def __init__(self, lease_id: _Optional[str] = ..., job_id: _Optional[str] = ..., device_id: _Optional[str] = ..., result: _Optional[_Union[_measurement_pb2.MeasurementResult, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., files: _Optional[_Iterable[_Union[AttachedFile, _Mapping]]] = ...) -> None: ...

class AttachedFile(_message.Message):
    __slots__ = ("ref", "content")
    REF_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    ref: _artifact_pb2.ArtifactRef
    content: bytes
    def __init__(self, ref: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ..., content: _Optional[bytes] = ...) -> None: ...

class FinishedAck(_message.Message):
    __slots__ = ("lease_id", "disposition")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    DISPOSITION_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    disposition: Disposition
    def __init__(self, lease_id: _Optional[str] = ..., disposition: _Optional[_Union[Disposition, str]] = ...) -> None: ...

class DevicesChanged(_message.Message):
    __slots__ = ("devices", "lost")
    class LostEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[_device_pb2.DeviceDescription]
    lost: _containers.ScalarMap[str, str]
    def __init__(self, devices: _Optional[_Iterable[_Union[_device_pb2.DeviceDescription, _Mapping]]] = ..., lost: _Optional[_Mapping[str, str]] = ...) -> None: ...

class FitnessReport(_message.Message):
    __slots__ = ("check", "noise_floor")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    NOISE_FLOOR_FIELD_NUMBER: _ClassVar[int]
    check: _fitness_pb2.FitnessCheck
    noise_floor: _fitness_pb2.NoiseFloor
    def __init__(self, check: _Optional[_Union[_fitness_pb2.FitnessCheck, _Mapping]] = ..., noise_floor: _Optional[_Union[_fitness_pb2.NoiseFloor, _Mapping]] = ...) -> None: ...

class FitnessAck(_message.Message):
    __slots__ = ("check_id",)
    CHECK_ID_FIELD_NUMBER: _ClassVar[int]
    check_id: str
    def __init__(self, check_id: _Optional[str] = ...) -> None: ...

class RequestCheck(_message.Message):
    __slots__ = ("device_id",)
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    def __init__(self, device_id: _Optional[str] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...
