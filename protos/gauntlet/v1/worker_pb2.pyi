from protos.gauntlet.v1 import failure_pb2 as _failure_pb2
from protos.gauntlet.v1 import measurement_pb2 as _measurement_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkerTask(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_TASK_UNSPECIFIED: _ClassVar[WorkerTask]
    WORKER_TASK_MEASURE: _ClassVar[WorkerTask]
    WORKER_TASK_MEMORY: _ClassVar[WorkerTask]
    WORKER_TASK_PROFILE: _ClassVar[WorkerTask]
    WORKER_TASK_COMPARE: _ClassVar[WorkerTask]
    WORKER_TASK_LATENCY: _ClassVar[WorkerTask]
WORKER_TASK_UNSPECIFIED: WorkerTask
WORKER_TASK_MEASURE: WorkerTask
WORKER_TASK_MEMORY: WorkerTask
WORKER_TASK_PROFILE: WorkerTask
WORKER_TASK_COMPARE: WorkerTask
WORKER_TASK_LATENCY: WorkerTask

class WorkerRequest(_message.Message):
    __slots__ = ("task", "spec", "paths", "output_dir", "process")
    class PathsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DIR_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    task: WorkerTask
    spec: _measurement_pb2.MeasurementSpec
    paths: _containers.ScalarMap[str, str]
    output_dir: str
    process: int
    def __init__(self, task: _Optional[_Union[WorkerTask, str]] = ..., spec: _Optional[_Union[_measurement_pb2.MeasurementSpec, _Mapping]] = ..., paths: _Optional[_Mapping[str, str]] = ..., output_dir: _Optional[str] = ..., process: _Optional[int] = ...) -> None: ...

class WorkerResponse(_message.Message):
    __slots__ = ("ready", "step", "result", "failure")
    READY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    ready: WorkerReady
    step: WorkerStep
    result: _measurement_pb2.MeasurementResult
    failure: _failure_pb2.Failure
    def __init__(self, ready: _Optional[_Union[WorkerReady, _Mapping]] = ..., step: _Optional[_Union[WorkerStep, _Mapping]] = ..., result: _Optional[_Union[_measurement_pb2.MeasurementResult, _Mapping]] = ..., failure: _Optional[_Union[_failure_pb2.Failure, _Mapping]] = ...) -> None: ...

class WorkerReady(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WorkerStep(_message.Message):
    __slots__ = ("name", "waiting")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    name: str
    waiting: bool
    def __init__(self, name: _Optional[str] = ..., waiting: bool = ...) -> None: ...
