from protos.gauntlet.v1 import figure_pb2 as _figure_pb2
from protos.gauntlet.v1 import setup_pb2 as _setup_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEVICE_STATE_UNSPECIFIED: _ClassVar[DeviceState]
    DEVICE_STATE_ENROLLED: _ClassVar[DeviceState]
    DEVICE_STATE_ONLINE: _ClassVar[DeviceState]
    DEVICE_STATE_BUSY: _ClassVar[DeviceState]
    DEVICE_STATE_DRAINING: _ClassVar[DeviceState]
    DEVICE_STATE_QUARANTINED: _ClassVar[DeviceState]
    DEVICE_STATE_LOST: _ClassVar[DeviceState]
DEVICE_STATE_UNSPECIFIED: DeviceState
DEVICE_STATE_ENROLLED: DeviceState
DEVICE_STATE_ONLINE: DeviceState
DEVICE_STATE_BUSY: DeviceState
DEVICE_STATE_DRAINING: DeviceState
DEVICE_STATE_QUARANTINED: DeviceState
DEVICE_STATE_LOST: DeviceState

class AgentDescription(_message.Message):
    __slots__ = ("agent_id", "hostname", "software_version", "python_version", "metrics_address")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_VERSION_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    METRICS_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    hostname: str
    software_version: str
    python_version: str
    metrics_address: str
    def __init__(self, agent_id: _Optional[str] = ..., hostname: _Optional[str] = ..., software_version: _Optional[str] = ..., python_version: _Optional[str] = ..., metrics_address: _Optional[str] = ...) -> None: ...

class DeviceDescription(_message.Message):
    __slots__ = ("device_id", "device_class", "labels", "hardware", "runtimes", "sensors", "capabilities", "controls")
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
    HARDWARE_FIELD_NUMBER: _ClassVar[int]
    RUNTIMES_FIELD_NUMBER: _ClassVar[int]
    SENSORS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    device_class: str
    labels: _containers.ScalarMap[str, str]
    hardware: Hardware
    runtimes: _containers.RepeatedCompositeFieldContainer[Runtime]
    sensors: _containers.RepeatedCompositeFieldContainer[Sensor]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    controls: _containers.RepeatedCompositeFieldContainer[_setup_pb2.Control]
    def __init__(self, device_id: _Optional[str] = ..., device_class: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., hardware: _Optional[_Union[Hardware, _Mapping]] = ..., runtimes: _Optional[_Iterable[_Union[Runtime, _Mapping]]] = ..., sensors: _Optional[_Iterable[_Union[Sensor, _Mapping]]] = ..., capabilities: _Optional[_Iterable[str]] = ..., controls: _Optional[_Iterable[_Union[_setup_pb2.Control, _Mapping]]] = ...) -> None: ...

class Hardware(_message.Message):
    __slots__ = ("board", "cpu_model", "architecture", "physical_cores", "logical_cores", "memory_bytes", "operating_system", "kernel", "cpu_features", "virtualization", "facts")
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BOARD_FIELD_NUMBER: _ClassVar[int]
    CPU_MODEL_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    PHYSICAL_CORES_FIELD_NUMBER: _ClassVar[int]
    LOGICAL_CORES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    OPERATING_SYSTEM_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    CPU_FEATURES_FIELD_NUMBER: _ClassVar[int]
    VIRTUALIZATION_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    board: str
    cpu_model: str
    architecture: str
    physical_cores: int
    logical_cores: int
    memory_bytes: int
    operating_system: str
    kernel: str
    cpu_features: _containers.RepeatedScalarFieldContainer[str]
    virtualization: str
    facts: _containers.ScalarMap[str, str]
    def __init__(self, board: _Optional[str] = ..., cpu_model: _Optional[str] = ..., architecture: _Optional[str] = ..., physical_cores: _Optional[int] = ..., logical_cores: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., operating_system: _Optional[str] = ..., kernel: _Optional[str] = ..., cpu_features: _Optional[_Iterable[str]] = ..., virtualization: _Optional[str] = ..., facts: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Runtime(_message.Message):
    __slots__ = ("name", "version", "delegates", "formats")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DELEGATES_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    delegates: _containers.RepeatedScalarFieldContainer[str]
    formats: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., delegates: _Optional[_Iterable[str]] = ..., formats: _Optional[_Iterable[str]] = ...) -> None: ...

class Sensor(_message.Message):
    __slots__ = ("quantity", "source", "unavailable")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    quantity: str
    source: str
    unavailable: str
    def __init__(self, quantity: _Optional[str] = ..., source: _Optional[str] = ..., unavailable: _Optional[str] = ...) -> None: ...

class DeviceTelemetry(_message.Message):
    __slots__ = ("device_id", "temperature_c", "frequency_hz", "load_average", "throttling", "energy_j", "disk_free_bytes", "battery_ratio")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_C_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_HZ_FIELD_NUMBER: _ClassVar[int]
    LOAD_AVERAGE_FIELD_NUMBER: _ClassVar[int]
    THROTTLING_FIELD_NUMBER: _ClassVar[int]
    ENERGY_J_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    BATTERY_RATIO_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    temperature_c: _figure_pb2.Figure
    frequency_hz: _figure_pb2.Figure
    load_average: _figure_pb2.Figure
    throttling: _containers.RepeatedScalarFieldContainer[str]
    energy_j: _figure_pb2.Figure
    disk_free_bytes: _figure_pb2.Figure
    battery_ratio: _figure_pb2.Figure
    def __init__(self, device_id: _Optional[str] = ..., temperature_c: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., frequency_hz: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., load_average: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., throttling: _Optional[_Iterable[str]] = ..., energy_j: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., disk_free_bytes: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., battery_ratio: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ...) -> None: ...
