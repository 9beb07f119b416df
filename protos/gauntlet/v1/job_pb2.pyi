from protos.gauntlet.v1 import failure_pb2 as _failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as _measurement_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_LEASED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_LEASED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState

class DeviceSelector(_message.Message):
    __slots__ = ("device_id", "device_class", "labels", "min_memory_bytes", "sensors")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_CLASS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MIN_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SENSORS_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    device_class: str
    labels: _containers.ScalarMap[str, str]
    min_memory_bytes: int
    sensors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, device_id: _Optional[str] = ..., device_class: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., min_memory_bytes: _Optional[int] = ..., sensors: _Optional[_Iterable[str]] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("idempotency_key", "device", "measurement", "priority", "campaign_id", "max_attempts", "queue_timeout_s", "repeats_job_id", "deadline_s")
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CAMPAIGN_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    REPEATS_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_S_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: str
    device: DeviceSelector
    measurement: _measurement_pb2.MeasurementSpec
    priority: int
    campaign_id: str
    max_attempts: int
    queue_timeout_s: float
    repeats_job_id: str
    deadline_s: float
    def __init__(self, idempotency_key: _Optional[str] = ..., device: _Optional[_Union[DeviceSelector, _Mapping]] = ..., measurement: _Optional[_Union[_measurement_pb2.MeasurementSpec, _Mapping]] = ..., priority: _Optional[int] = ..., campaign_id: _Optional[str] = ..., max_attempts: _Optional[int] = ..., queue_timeout_s: _Optional[float] = ..., repeats_job_id: _Optional[str] = ..., deadline_s: _Optional[float] = ...) -> None: ...

class Suspicion(_message.Message):
    __slots__ = ("reason", "successor_job_id", "marked_at")
    REASON_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    MARKED_AT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    successor_job_id: str
    marked_at: str
    def __init__(self, reason: _Optional[str] = ..., successor_job_id: _Optional[str] = ..., marked_at: _Optional[str] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("number", "lease_id", "device_id", "started_at", "ended_at", "failure")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    number: int
    lease_id: str
    device_id: str
    started_at: str
    ended_at: str
    failure: _failure_pb2.Failure
    def __init__(self, number: _Optional[int] = ..., lease_id: _Optional[str] = ..., device_id: _Optional[str] = ..., started_at: _Optional[str] = ..., ended_at: _Optional[str] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("job_id", "spec", "state", "attempts", "result", "failure", "submitted_at", "finished_at", "superseded_results", "step", "suspicion", "user", "waits_for")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_RESULTS_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    SUSPICION_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    spec: JobSpec
    state: JobState
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    result: _measurement_pb2.MeasurementResult
    failure: _failure_pb2.Failure
    submitted_at: str
    finished_at: str
    superseded_results: int
    step: str
    suspicion: Suspicion
    user: str
    waits_for: str
    def __init__(self, job_id: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[JobState, str]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., result: _Optional[_Union[_measurement_pb2.MeasurementResult, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ..., submitted_at: _Optional[str] = ..., finished_at: _Optional[str] = ..., superseded_results: _Optional[int] = ..., step: _Optional[str] = ..., suspicion: _Optional[_Union[Suspicion, _Mapping]] = ..., user: _Optional[str] = ..., waits_for: _Optional[str] = ...) -> None: ...
