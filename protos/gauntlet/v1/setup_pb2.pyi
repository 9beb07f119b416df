from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceSetup(_message.Message):
    __slots__ = ("governor", "min_frequency_hz", "max_frequency_hz", "power_mode", "jetson_clocks", "cores")
    GOVERNOR_FIELD_NUMBER: _ClassVar[int]
    MIN_FREQUENCY_HZ_FIELD_NUMBER: _ClassVar[int]
    MAX_FREQUENCY_HZ_FIELD_NUMBER: _ClassVar[int]
    POWER_MODE_FIELD_NUMBER: _ClassVar[int]
    JETSON_CLOCKS_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    governor: str
    min_frequency_hz: float
    max_frequency_hz: float
    power_mode: str
    jetson_clocks: bool
    cores: str
    def __init__(self, governor: _Optional[str] = ..., min_frequency_hz: _Optional[float] = ..., max_frequency_hz: _Optional[float] = ..., power_mode: _Optional[str] = ..., jetson_clocks: bool = ..., cores: _Optional[str] = ...) -> None: ...

class SetupReport(_message.Message):
    __slots__ = ("asked", "changes")
    ASKED_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    asked: DeviceSetup
    changes: _containers.RepeatedCompositeFieldContainer[SetupChange]
    def __init__(self, asked: _Optional[_Union[DeviceSetup, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[SetupChange, _Mapping]]] = ...) -> None: ...

class SetupChange(_message.Message):
    __slots__ = ("control", "target", "found", "wanted", "read_back")
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    READ_BACK_FIELD_NUMBER: _ClassVar[int]
    control: str
    target: str
    found: str
    wanted: str
    read_back: str
    def __init__(self, control: _Optional[str] = ..., target: _Optional[str] = ..., found: _Optional[str] = ..., wanted: _Optional[str] = ..., read_back: _Optional[str] = ...) -> None: ...

class Control(_message.Message):
    __slots__ = ("name", "state", "choices", "unavailable")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    choices: _containers.RepeatedScalarFieldContainer[str]
    unavailable: str
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ..., choices: _Optional[_Iterable[str]] = ..., unavailable: _Optional[str] = ...) -> None: ...
