from protos.gauntlet.v1 import artifact_pb2 as _artifact_pb2
from protos.gauntlet.v1 import fault_pb2 as _fault_pb2
from protos.gauntlet.v1 import figure_pb2 as _figure_pb2
from protos.gauntlet.v1 import setup_pb2 as _setup_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pinning(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PINNING_UNSPECIFIED: _ClassVar[Pinning]
    PINNING_AUTO: _ClassVar[Pinning]
    PINNING_NONE: _ClassVar[Pinning]

class StopReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOP_REASON_UNSPECIFIED: _ClassVar[StopReason]
    STOP_REASON_PRECISE: _ClassVar[StopReason]
    STOP_REASON_PLATEAU: _ClassVar[StopReason]
    STOP_REASON_MAX_SAMPLES: _ClassVar[StopReason]
    STOP_REASON_MAX_TIME: _ClassVar[StopReason]

class ComparisonVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPARISON_VERDICT_UNSPECIFIED: _ClassVar[ComparisonVerdict]
    COMPARISON_VERDICT_FASTER: _ClassVar[ComparisonVerdict]
    COMPARISON_VERDICT_SLOWER: _ClassVar[ComparisonVerdict]
    COMPARISON_VERDICT_INDISTINGUISHABLE: _ClassVar[ComparisonVerdict]

class PatternStop(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PATTERN_STOP_UNSPECIFIED: _ClassVar[PatternStop]
    PATTERN_STOP_PRECISE: _ClassVar[PatternStop]
    PATTERN_STOP_CAP: _ClassVar[PatternStop]
    PATTERN_STOP_BUDGET: _ClassVar[PatternStop]
PINNING_UNSPECIFIED: Pinning
PINNING_AUTO: Pinning
PINNING_NONE: Pinning
STOP_REASON_UNSPECIFIED: StopReason
STOP_REASON_PRECISE: StopReason
STOP_REASON_PLATEAU: StopReason
STOP_REASON_MAX_SAMPLES: StopReason
STOP_REASON_MAX_TIME: StopReason
COMPARISON_VERDICT_UNSPECIFIED: ComparisonVerdict
COMPARISON_VERDICT_FASTER: ComparisonVerdict
COMPARISON_VERDICT_SLOWER: ComparisonVerdict
COMPARISON_VERDICT_INDISTINGUISHABLE: ComparisonVerdict
PATTERN_STOP_UNSPECIFIED: PatternStop
PATTERN_STOP_PRECISE: PatternStop
PATTERN_STOP_CAP: PatternStop
PATTERN_STOP_BUDGET: PatternStop

class MeasurementSpec(_message.Message):
    __slots__ = ("model", "runtime", "output_check", "latency", "memory", "accuracy", "energy", "fault_plan", "timeout_s", "profile", "comparison", "setup", "multi_stream", "offline", "throttle")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CHECK_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    FAULT_PLAN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    SETUP_FIELD_NUMBER: _ClassVar[int]
    MULTI_STREAM_FIELD_NUMBER: _ClassVar[int]
    OFFLINE_FIELD_NUMBER: _ClassVar[int]
    THROTTLE_FIELD_NUMBER: _ClassVar[int]
    model: _artifact_pb2.ArtifactRef
    runtime: RuntimeSpec
    output_check: OutputCheckSpec
    latency: LatencySpec
    memory: MemorySpec
    accuracy: AccuracySpec
    energy: EnergySpec
    fault_plan: _fault_pb2.FaultPlan
    timeout_s: float
    profile: ProfileSpec
    comparison: ComparisonSpec
    setup: _setup_pb2.DeviceSetup
    multi_stream: MultiStreamSpec
    offline: OfflineSpec
    throttle: ThrottleSpec
    def __init__(self, model: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ..., runtime: _Optional[_Union[RuntimeSpec, _Mapping]] = ..., output_check: _Optional[_Union[OutputCheckSpec, _Mapping]] = ..., latency: _Optional[_Union[LatencySpec, _Mapping]] = ..., memory: _Optional[_Union[MemorySpec, _Mapping]] = ..., accuracy: _Optional[_Union[AccuracySpec, _Mapping]] = ..., energy: _Optional[_Union[EnergySpec, _Mapping]] = ..., fault_plan: _Optional[_Union[_fault_pb2.FaultPlan, _Mapping]] = ..., timeout_s: _Optional[float] = ..., profile: _Optional[_Union[ProfileSpec, _Mapping]] = ..., comparison: _Optional[_Union[ComparisonSpec, _Mapping]] = ..., setup: _Optional[_Union[_setup_pb2.DeviceSetup, _Mapping]] = ..., multi_stream: _Optional[_Union[MultiStreamSpec, _Mapping]] = ..., offline: _Optional[_Union[OfflineSpec, _Mapping]] = ..., throttle: _Optional[_Union[ThrottleSpec, _Mapping]] = ...) -> None: ...

class RuntimeSpec(_message.Message):
    __slots__ = ("name", "threads", "delegate")
    NAME_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    threads: int
    delegate: str
    def __init__(self, name: _Optional[str] = ..., threads: _Optional[int] = ..., delegate: _Optional[str] = ...) -> None: ...

class OutputCheckSpec(_message.Message):
    __slots__ = ("reference", "tolerance")
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    reference: _artifact_pb2.ArtifactRef
    tolerance: float
    def __init__(self, reference: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ..., tolerance: _Optional[float] = ...) -> None: ...

class LatencySpec(_message.Message):
    __slots__ = ("warmup_min_runs", "warmup_min_s", "warmup_max_s", "warmup_tolerance", "min_samples", "max_samples", "min_s", "max_s", "half_width", "confidence", "min_sample_s", "pinning", "processes", "max_processes")
    WARMUP_MIN_RUNS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_MIN_S_FIELD_NUMBER: _ClassVar[int]
    WARMUP_MAX_S_FIELD_NUMBER: _ClassVar[int]
    WARMUP_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MAX_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MIN_S_FIELD_NUMBER: _ClassVar[int]
    MAX_S_FIELD_NUMBER: _ClassVar[int]
    HALF_WIDTH_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLE_S_FIELD_NUMBER: _ClassVar[int]
    PINNING_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    MAX_PROCESSES_FIELD_NUMBER: _ClassVar[int]
    warmup_min_runs: int
    warmup_min_s: float
    warmup_max_s: float
    warmup_tolerance: float
    min_samples: int
    max_samples: int
    min_s: float
    max_s: float
    half_width: float
    confidence: float
    min_sample_s: float
    pinning: Pinning
    processes: int
    max_processes: int
    def __init__(self, warmup_min_runs: _Optional[int] = ..., warmup_min_s: _Optional[float] = ..., warmup_max_s: _Optional[float] = ..., warmup_tolerance: _Optional[float] = ..., min_samples: _Optional[int] = ..., max_samples: _Optional[int] = ..., min_s: _Optional[float] = ..., max_s: _Optional[float] = ..., half_width: _Optional[float] = ..., confidence: _Optional[float] = ..., min_sample_s: _Optional[float] = ..., pinning: _Optional[_Union[Pinning, str]] = ..., processes: _Optional[int] = ..., max_processes: _Optional[int] = ...) -> None: ...

class MultiStreamSpec(_message.Message):
    __slots__ = ("samples_per_query", "min_queries", "max_queries", "min_s", "max_s")
    SAMPLES_PER_QUERY_FIELD_NUMBER: _ClassVar[int]
    MIN_QUERIES_FIELD_NUMBER: _ClassVar[int]
    MAX_QUERIES_FIELD_NUMBER: _ClassVar[int]
    MIN_S_FIELD_NUMBER: _ClassVar[int]
    MAX_S_FIELD_NUMBER: _ClassVar[int]
    samples_per_query: int
    min_queries: int
    max_queries: int
    min_s: float
    max_s: float
    def __init__(self, samples_per_query: _Optional[int] = ..., min_queries: _Optional[int] = ..., max_queries: _Optional[int] = ..., min_s: _Optional[float] = ..., max_s: _Optional[float] = ...) -> None: ...

class OfflineSpec(_message.Message):
    __slots__ = ("batch_sizes", "threads", "min_s", "max_s", "half_width")
    BATCH_SIZES_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    MIN_S_FIELD_NUMBER: _ClassVar[int]
    MAX_S_FIELD_NUMBER: _ClassVar[int]
    HALF_WIDTH_FIELD_NUMBER: _ClassVar[int]
    batch_sizes: _containers.RepeatedScalarFieldContainer[int]
    threads: _containers.RepeatedScalarFieldContainer[int]
    min_s: float
    max_s: float
    half_width: float
    def __init__(self, batch_sizes: _Optional[_Iterable[int]] = ..., threads: _Optional[_Iterable[int]] = ..., min_s: _Optional[float] = ..., max_s: _Optional[float] = ..., half_width: _Optional[float] = ...) -> None: ...

class ThrottleSpec(_message.Message):
    __slots__ = ("repeats", "cool_to_c", "cool_max_s", "drift")
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    COOL_TO_C_FIELD_NUMBER: _ClassVar[int]
    COOL_MAX_S_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    repeats: int
    cool_to_c: float
    cool_max_s: float
    drift: float
    def __init__(self, repeats: _Optional[int] = ..., cool_to_c: _Optional[float] = ..., cool_max_s: _Optional[float] = ..., drift: _Optional[float] = ...) -> None: ...

class MemorySpec(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: int
    def __init__(self, runs: _Optional[int] = ...) -> None: ...

class AccuracySpec(_message.Message):
    __slots__ = ("dataset", "batch_size", "confidence")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    dataset: _artifact_pb2.ArtifactRef
    batch_size: int
    confidence: float
    def __init__(self, dataset: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ..., batch_size: _Optional[int] = ..., confidence: _Optional[float] = ...) -> None: ...

class EnergySpec(_message.Message):
    __slots__ = ("window_s",)
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    window_s: float
    def __init__(self, window_s: _Optional[float] = ...) -> None: ...

class ComparisonSpec(_message.Message):
    __slots__ = ("model", "processes", "max_processes", "min_segment_s", "min_segment_samples", "min_sample_s", "min_blocks", "max_blocks", "max_s", "half_width", "confidence", "warmup_min_runs", "warmup_min_s", "warmup_max_s", "warmup_tolerance", "pinning", "noise_floor")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    MAX_PROCESSES_FIELD_NUMBER: _ClassVar[int]
    MIN_SEGMENT_S_FIELD_NUMBER: _ClassVar[int]
    MIN_SEGMENT_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLE_S_FIELD_NUMBER: _ClassVar[int]
    MIN_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MAX_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MAX_S_FIELD_NUMBER: _ClassVar[int]
    HALF_WIDTH_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    WARMUP_MIN_RUNS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_MIN_S_FIELD_NUMBER: _ClassVar[int]
    WARMUP_MAX_S_FIELD_NUMBER: _ClassVar[int]
    WARMUP_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    PINNING_FIELD_NUMBER: _ClassVar[int]
    NOISE_FLOOR_FIELD_NUMBER: _ClassVar[int]
    model: _artifact_pb2.ArtifactRef
    processes: int
    max_processes: int
    min_segment_s: float
    min_segment_samples: int
    min_sample_s: float
    min_blocks: int
    max_blocks: int
    max_s: float
    half_width: float
    confidence: float
    warmup_min_runs: int
    warmup_min_s: float
    warmup_max_s: float
    warmup_tolerance: float
    pinning: Pinning
    noise_floor: float
    def __init__(self, model: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ..., processes: _Optional[int] = ..., max_processes: _Optional[int] = ..., min_segment_s: _Optional[float] = ..., min_segment_samples: _Optional[int] = ..., min_sample_s: _Optional[float] = ..., min_blocks: _Optional[int] = ..., max_blocks: _Optional[int] = ..., max_s: _Optional[float] = ..., half_width: _Optional[float] = ..., confidence: _Optional[float] = ..., warmup_min_runs: _Optional[int] = ..., warmup_min_s: _Optional[float] = ..., warmup_max_s: _Optional[float] = ..., warmup_tolerance: _Optional[float] = ..., pinning: _Optional[_Union[Pinning, str]] = ..., noise_floor: _Optional[float] = ...) -> None: ...

class MeasurementResult(_message.Message):
    __slots__ = ("model", "output_check", "latency", "memory", "accuracy", "energy", "faults", "provenance", "profile", "comparison", "conditions", "multi_stream", "offline")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CHECK_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    MULTI_STREAM_FIELD_NUMBER: _ClassVar[int]
    OFFLINE_FIELD_NUMBER: _ClassVar[int]
    model: ModelFacts
    output_check: OutputCheckResult
    latency: LatencyResult
    memory: MemoryResult
    accuracy: AccuracyResult
    energy: EnergyResult
    faults: FaultResult
    provenance: Provenance
    profile: ProfileResult
    comparison: ComparisonResult
    conditions: Conditions
    multi_stream: MultiStreamResult
    offline: OfflineResult
    def __init__(self, model: _Optional[_Union[ModelFacts, _Mapping]] = ..., output_check: _Optional[_Union[OutputCheckResult, _Mapping]] = ..., latency: _Optional[_Union[LatencyResult, _Mapping]] = ..., memory: _Optional[_Union[MemoryResult, _Mapping]] = ..., accuracy: _Optional[_Union[AccuracyResult, _Mapping]] = ..., energy: _Optional[_Union[EnergyResult, _Mapping]] = ..., faults: _Optional[_Union[FaultResult, _Mapping]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., profile: _Optional[_Union[ProfileResult, _Mapping]] = ..., comparison: _Optional[_Union[ComparisonResult, _Mapping]] = ..., conditions: _Optional[_Union[Conditions, _Mapping]] = ..., multi_stream: _Optional[_Union[MultiStreamResult, _Mapping]] = ..., offline: _Optional[_Union[OfflineResult, _Mapping]] = ...) -> None: ...

class ModelFacts(_message.Message):
    __slots__ = ("size_bytes", "inputs", "outputs")
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    inputs: _containers.RepeatedCompositeFieldContainer[TensorFacts]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorFacts]
    def __init__(self, size_bytes: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[TensorFacts, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorFacts, _Mapping]]] = ...) -> None: ...

class TensorFacts(_message.Message):
    __slots__ = ("name", "shape", "dtype", "scale", "zero_point")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ZERO_POINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    dtype: str
    scale: float
    zero_point: int
    def __init__(self, name: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., dtype: _Optional[str] = ..., scale: _Optional[float] = ..., zero_point: _Optional[int] = ...) -> None: ...

class OutputCheckResult(_message.Message):
    __slots__ = ("max_difference", "top1_agreement")
    MAX_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    TOP1_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    max_difference: _figure_pb2.Figure
    top1_agreement: _figure_pb2.Figure
    def __init__(self, max_difference: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., top1_agreement: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ...) -> None: ...

class ProfileSpec(_message.Message):
    __slots__ = ("inferences",)
    INFERENCES_FIELD_NUMBER: _ClassVar[int]
    inferences: int
    def __init__(self, inferences: _Optional[int] = ...) -> None: ...

class ProfileResult(_message.Message):
    __slots__ = ("operators", "whole_s", "covered", "inferences", "source", "resolution_s", "unavailable")
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    WHOLE_S_FIELD_NUMBER: _ClassVar[int]
    COVERED_FIELD_NUMBER: _ClassVar[int]
    INFERENCES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_S_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    operators: _containers.RepeatedCompositeFieldContainer[OperatorTime]
    whole_s: _figure_pb2.Figure
    covered: _figure_pb2.Figure
    inferences: int
    source: str
    resolution_s: float
    unavailable: str
    def __init__(self, operators: _Optional[_Iterable[_Union[OperatorTime, _Mapping]]] = ..., whole_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., covered: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., inferences: _Optional[int] = ..., source: _Optional[str] = ..., resolution_s: _Optional[float] = ..., unavailable: _Optional[str] = ...) -> None: ...

class OperatorTime(_message.Message):
    __slots__ = ("index", "type", "name", "delegate", "time_s", "share")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    TIME_S_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    index: int
    type: str
    name: str
    delegate: str
    time_s: float
    share: float
    def __init__(self, index: _Optional[int] = ..., type: _Optional[str] = ..., name: _Optional[str] = ..., delegate: _Optional[str] = ..., time_s: _Optional[float] = ..., share: _Optional[float] = ...) -> None: ...

class Percentile(_message.Message):
    __slots__ = ("rank", "latency_s")
    RANK_FIELD_NUMBER: _ClassVar[int]
    LATENCY_S_FIELD_NUMBER: _ClassVar[int]
    rank: float
    latency_s: _figure_pb2.Figure
    def __init__(self, rank: _Optional[float] = ..., latency_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ...) -> None: ...

class LatencyResult(_message.Message):
    __slots__ = ("load_s", "first_inference_s", "median_s", "mean_s", "min_s", "max_s", "mad_s", "percentiles", "stop_reason", "warmup_runs", "warmup_s", "warmup_settled", "calls_per_sample", "raw_samples", "histogram", "runs", "process_spread")
    LOAD_S_FIELD_NUMBER: _ClassVar[int]
    FIRST_INFERENCE_S_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_S_FIELD_NUMBER: _ClassVar[int]
    MEAN_S_FIELD_NUMBER: _ClassVar[int]
    MIN_S_FIELD_NUMBER: _ClassVar[int]
    MAX_S_FIELD_NUMBER: _ClassVar[int]
    MAD_S_FIELD_NUMBER: _ClassVar[int]
    PERCENTILES_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    WARMUP_RUNS_FIELD_NUMBER: _ClassVar[int]
    WARMUP_S_FIELD_NUMBER: _ClassVar[int]
    WARMUP_SETTLED_FIELD_NUMBER: _ClassVar[int]
    CALLS_PER_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    RAW_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_SPREAD_FIELD_NUMBER: _ClassVar[int]
    load_s: _figure_pb2.Figure
    first_inference_s: _figure_pb2.Figure
    median_s: _figure_pb2.Figure
    mean_s: _figure_pb2.Figure
    min_s: _figure_pb2.Figure
    max_s: _figure_pb2.Figure
    mad_s: _figure_pb2.Figure
    percentiles: _containers.RepeatedCompositeFieldContainer[Percentile]
    stop_reason: StopReason
    warmup_runs: int
    warmup_s: float
    warmup_settled: bool
    calls_per_sample: int
    raw_samples: _artifact_pb2.ArtifactRef
    histogram: Histogram
    runs: _containers.RepeatedCompositeFieldContainer[LatencyRun]
    process_spread: _figure_pb2.Figure
    def __init__(self, load_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., first_inference_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., median_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., mean_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., min_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., max_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., mad_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., percentiles: _Optional[_Iterable[_Union[Percentile, _Mapping]]] = ..., stop_reason: _Optional[_Union[StopReason, str]] = ..., warmup_runs: _Optional[int] = ..., warmup_s: _Optional[float] = ..., warmup_settled: bool = ..., calls_per_sample: _Optional[int] = ..., raw_samples: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ..., histogram: _Optional[_Union[Histogram, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[LatencyRun, _Mapping]]] = ..., process_spread: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ...) -> None: ...

class LatencyRun(_message.Message):
    __slots__ = ("load_s", "first_inference_s", "median_s", "mean_s", "stop_reason", "warmup_settled", "raw_samples")
    LOAD_S_FIELD_NUMBER: _ClassVar[int]
    FIRST_INFERENCE_S_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_S_FIELD_NUMBER: _ClassVar[int]
    MEAN_S_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    WARMUP_SETTLED_FIELD_NUMBER: _ClassVar[int]
    RAW_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    load_s: _figure_pb2.Figure
    first_inference_s: _figure_pb2.Figure
    median_s: _figure_pb2.Figure
    mean_s: _figure_pb2.Figure
    stop_reason: StopReason
    warmup_settled: bool
    raw_samples: _artifact_pb2.ArtifactRef
    def __init__(self, load_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., first_inference_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., median_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., mean_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., stop_reason: _Optional[_Union[StopReason, str]] = ..., warmup_settled: bool = ..., raw_samples: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...

class MultiStreamResult(_message.Message):
    __slots__ = ("samples_per_query", "batched", "median_s", "percentiles", "stop_reason", "raw_samples")
    SAMPLES_PER_QUERY_FIELD_NUMBER: _ClassVar[int]
    BATCHED_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_S_FIELD_NUMBER: _ClassVar[int]
    PERCENTILES_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    RAW_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    samples_per_query: int
    batched: bool
    median_s: _figure_pb2.Figure
    percentiles: _containers.RepeatedCompositeFieldContainer[Percentile]
    stop_reason: StopReason
    raw_samples: _artifact_pb2.ArtifactRef
    def __init__(self, samples_per_query: _Optional[int] = ..., batched: bool = ..., median_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., percentiles: _Optional[_Iterable[_Union[Percentile, _Mapping]]] = ..., stop_reason: _Optional[_Union[StopReason, str]] = ..., raw_samples: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...

class OfflineResult(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[OfflineCell]
    def __init__(self, cells: _Optional[_Iterable[_Union[OfflineCell, _Mapping]]] = ...) -> None: ...

class OfflineCell(_message.Message):
    __slots__ = ("batch_size", "threads", "throughput_per_s", "call_s", "stop_reason")
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    THROUGHPUT_PER_S_FIELD_NUMBER: _ClassVar[int]
    CALL_S_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    batch_size: int
    threads: int
    throughput_per_s: _figure_pb2.Figure
    call_s: _figure_pb2.Figure
    stop_reason: StopReason
    def __init__(self, batch_size: _Optional[int] = ..., threads: _Optional[int] = ..., throughput_per_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., call_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., stop_reason: _Optional[_Union[StopReason, str]] = ...) -> None: ...

class Histogram(_message.Message):
    __slots__ = ("low", "high", "counts", "overflow")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    counts: _containers.RepeatedScalarFieldContainer[int]
    overflow: int
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ..., counts: _Optional[_Iterable[int]] = ..., overflow: _Optional[int] = ...) -> None: ...

class ComparisonResult(_message.Message):
    __slots__ = ("ratio", "verdict", "noise_floor", "measured_noise_floor", "process_spread", "median_a_s", "median_b_s", "runs")
    RATIO_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    NOISE_FLOOR_FIELD_NUMBER: _ClassVar[int]
    MEASURED_NOISE_FLOOR_FIELD_NUMBER: _ClassVar[int]
    PROCESS_SPREAD_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_A_S_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_B_S_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    ratio: _figure_pb2.Figure
    verdict: ComparisonVerdict
    noise_floor: _figure_pb2.Figure
    measured_noise_floor: _figure_pb2.Figure
    process_spread: _figure_pb2.Figure
    median_a_s: _figure_pb2.Figure
    median_b_s: _figure_pb2.Figure
    runs: _containers.RepeatedCompositeFieldContainer[ComparisonRun]
    def __init__(self, ratio: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., verdict: _Optional[_Union[ComparisonVerdict, str]] = ..., noise_floor: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., measured_noise_floor: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., process_spread: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., median_a_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., median_b_s: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., runs: _Optional[_Iterable[_Union[ComparisonRun, _Mapping]]] = ...) -> None: ...

class ComparisonRun(_message.Message):
    __slots__ = ("ratio", "block_ratios", "median_a_s", "median_b_s", "calls_per_sample_a", "calls_per_sample_b", "samples_per_segment_a", "samples_per_segment_b", "warmup_settled_a", "warmup_settled_b", "stop_reason", "b_first", "segments")
    RATIO_FIELD_NUMBER: _ClassVar[int]
    BLOCK_RATIOS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_A_S_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_B_S_FIELD_NUMBER: _ClassVar[int]
    CALLS_PER_SAMPLE_A_FIELD_NUMBER: _ClassVar[int]
    CALLS_PER_SAMPLE_B_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_PER_SEGMENT_A_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_PER_SEGMENT_B_FIELD_NUMBER: _ClassVar[int]
    WARMUP_SETTLED_A_FIELD_NUMBER: _ClassVar[int]
    WARMUP_SETTLED_B_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    B_FIRST_FIELD_NUMBER: _ClassVar[int]
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    ratio: _figure_pb2.Figure
    block_ratios: _containers.RepeatedScalarFieldContainer[float]
    median_a_s: float
    median_b_s: float
    calls_per_sample_a: int
    calls_per_sample_b: int
    samples_per_segment_a: int
    samples_per_segment_b: int
    warmup_settled_a: bool
    warmup_settled_b: bool
    stop_reason: StopReason
    b_first: bool
    segments: _artifact_pb2.ArtifactRef
    def __init__(self, ratio: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., block_ratios: _Optional[_Iterable[float]] = ..., median_a_s: _Optional[float] = ..., median_b_s: _Optional[float] = ..., calls_per_sample_a: _Optional[int] = ..., calls_per_sample_b: _Optional[int] = ..., samples_per_segment_a: _Optional[int] = ..., samples_per_segment_b: _Optional[int] = ..., warmup_settled_a: bool = ..., warmup_settled_b: bool = ..., stop_reason: _Optional[_Union[StopReason, str]] = ..., b_first: bool = ..., segments: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...

class MemoryResult(_message.Message):
    __slots__ = ("peak_bytes", "model_bytes", "steady_bytes")
    PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODEL_BYTES_FIELD_NUMBER: _ClassVar[int]
    STEADY_BYTES_FIELD_NUMBER: _ClassVar[int]
    peak_bytes: _figure_pb2.Figure
    model_bytes: _figure_pb2.Figure
    steady_bytes: _figure_pb2.Figure
    def __init__(self, peak_bytes: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., model_bytes: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., steady_bytes: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ...) -> None: ...

class AccuracyResult(_message.Message):
    __slots__ = ("top1", "samples", "non_finite", "predictions")
    TOP1_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    NON_FINITE_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    top1: _figure_pb2.Figure
    samples: int
    non_finite: int
    predictions: _artifact_pb2.ArtifactRef
    def __init__(self, top1: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., samples: _Optional[int] = ..., non_finite: _Optional[int] = ..., predictions: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...

class EnergyResult(_message.Message):
    __slots__ = ("energy_j", "net_energy_j", "power_w", "idle_power_w", "source", "window_s", "runs", "rails", "resolution_j", "wraps", "idle_before_w", "idle_after_w", "batches", "coverage")
    ENERGY_J_FIELD_NUMBER: _ClassVar[int]
    NET_ENERGY_J_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    IDLE_POWER_W_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    RAILS_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_J_FIELD_NUMBER: _ClassVar[int]
    WRAPS_FIELD_NUMBER: _ClassVar[int]
    IDLE_BEFORE_W_FIELD_NUMBER: _ClassVar[int]
    IDLE_AFTER_W_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    energy_j: _figure_pb2.Figure
    net_energy_j: _figure_pb2.Figure
    power_w: _figure_pb2.Figure
    idle_power_w: _figure_pb2.Figure
    source: str
    window_s: float
    runs: int
    rails: _containers.RepeatedCompositeFieldContainer[RailEnergy]
    resolution_j: float
    wraps: int
    idle_before_w: float
    idle_after_w: float
    batches: int
    coverage: str
    def __init__(self, energy_j: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., net_energy_j: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., power_w: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., idle_power_w: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., source: _Optional[str] = ..., window_s: _Optional[float] = ..., runs: _Optional[int] = ..., rails: _Optional[_Iterable[_Union[RailEnergy, _Mapping]]] = ..., resolution_j: _Optional[float] = ..., wraps: _Optional[int] = ..., idle_before_w: _Optional[float] = ..., idle_after_w: _Optional[float] = ..., batches: _Optional[int] = ..., coverage: _Optional[str] = ...) -> None: ...

class RailEnergy(_message.Message):
    __slots__ = ("name", "energy_j", "counted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENERGY_J_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    energy_j: float
    counted: bool
    def __init__(self, name: _Optional[str] = ..., energy_j: _Optional[float] = ..., counted: bool = ...) -> None: ...

class Conditions(_message.Message):
    __slots__ = ("series", "phases", "samples")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    phases: _containers.RepeatedCompositeFieldContainer[Phase]
    samples: _artifact_pb2.ArtifactRef
    def __init__(self, series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., phases: _Optional[_Iterable[_Union[Phase, _Mapping]]] = ..., samples: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("quantity", "source", "start", "lowest", "peak", "end")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    LOWEST_FIELD_NUMBER: _ClassVar[int]
    PEAK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    quantity: str
    source: str
    start: _figure_pb2.Figure
    lowest: _figure_pb2.Figure
    peak: _figure_pb2.Figure
    end: _figure_pb2.Figure
    def __init__(self, quantity: _Optional[str] = ..., source: _Optional[str] = ..., start: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., lowest: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., peak: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., end: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ...) -> None: ...

class Phase(_message.Message):
    __slots__ = ("name", "begin_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEGIN_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    begin_s: float
    def __init__(self, name: _Optional[str] = ..., begin_s: _Optional[float] = ...) -> None: ...

class FaultResult(_message.Message):
    __slots__ = ("accuracy", "pattern_accuracies", "fault_counts", "stop", "non_finite", "clean_accuracy", "first_pattern", "samples", "changed", "critical", "outside_top5", "non_finite_samples", "digests", "right_patterns", "sites")
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    PATTERN_ACCURACIES_FIELD_NUMBER: _ClassVar[int]
    FAULT_COUNTS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    NON_FINITE_FIELD_NUMBER: _ClassVar[int]
    CLEAN_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    FIRST_PATTERN_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    CRITICAL_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_TOP5_FIELD_NUMBER: _ClassVar[int]
    NON_FINITE_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    RIGHT_PATTERNS_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    accuracy: _figure_pb2.Figure
    pattern_accuracies: _containers.RepeatedScalarFieldContainer[float]
    fault_counts: _containers.RepeatedScalarFieldContainer[int]
    stop: PatternStop
    non_finite: _figure_pb2.Figure
    clean_accuracy: _figure_pb2.Figure
    first_pattern: int
    samples: int
    changed: _containers.RepeatedScalarFieldContainer[int]
    critical: _containers.RepeatedScalarFieldContainer[int]
    outside_top5: _containers.RepeatedScalarFieldContainer[int]
    non_finite_samples: _containers.RepeatedScalarFieldContainer[int]
    digests: _containers.RepeatedScalarFieldContainer[str]
    right_patterns: _artifact_pb2.ArtifactRef
    sites: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, accuracy: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., pattern_accuracies: _Optional[_Iterable[float]] = ..., fault_counts: _Optional[_Iterable[int]] = ..., stop: _Optional[_Union[PatternStop, str]] = ..., non_finite: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., clean_accuracy: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., first_pattern: _Optional[int] = ..., samples: _Optional[int] = ..., changed: _Optional[_Iterable[int]] = ..., critical: _Optional[_Iterable[int]] = ..., outside_top5: _Optional[_Iterable[int]] = ..., non_finite_samples: _Optional[_Iterable[int]] = ..., digests: _Optional[_Iterable[str]] = ..., right_patterns: _Optional[_Union[_artifact_pb2.ArtifactRef, _Mapping]] = ..., sites: _Optional[_Iterable[str]] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("device_id", "device_class", "agent_id", "software_version", "runtime", "runtime_version", "delegate", "threads", "cpus", "model_digest", "host_shared", "before", "after", "started_at", "fetch_s", "host_lock_wait_s", "worker_s", "remarks", "setup", "unfit")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_CLASS_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    HOST_SHARED_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    FETCH_S_FIELD_NUMBER: _ClassVar[int]
    HOST_LOCK_WAIT_S_FIELD_NUMBER: _ClassVar[int]
    WORKER_S_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    SETUP_FIELD_NUMBER: _ClassVar[int]
    UNFIT_FIELD_NUMBER: _ClassVar[int]
    device_id: str
    device_class: str
    agent_id: str
    software_version: str
    runtime: str
    runtime_version: str
    delegate: str
    threads: int
    cpus: _containers.RepeatedScalarFieldContainer[int]
    model_digest: str
    host_shared: bool
    before: HostState
    after: HostState
    started_at: str
    fetch_s: float
    host_lock_wait_s: float
    worker_s: float
    remarks: _containers.RepeatedScalarFieldContainer[str]
    setup: _setup_pb2.SetupReport
    unfit: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, device_id: _Optional[str] = ..., device_class: _Optional[str] = ..., agent_id: _Optional[str] = ..., software_version: _Optional[str] = ..., runtime: _Optional[str] = ..., runtime_version: _Optional[str] = ..., delegate: _Optional[str] = ..., threads: _Optional[int] = ..., cpus: _Optional[_Iterable[int]] = ..., model_digest: _Optional[str] = ..., host_shared: bool = ..., before: _Optional[_Union[HostState, _Mapping]] = ..., after: _Optional[_Union[HostState, _Mapping]] = ..., started_at: _Optional[str] = ..., fetch_s: _Optional[float] = ..., host_lock_wait_s: _Optional[float] = ..., worker_s: _Optional[float] = ..., remarks: _Optional[_Iterable[str]] = ..., setup: _Optional[_Union[_setup_pb2.SetupReport, _Mapping]] = ..., unfit: _Optional[_Iterable[str]] = ...) -> None: ...

class HostState(_message.Message):
    __slots__ = ("temperature_c", "frequency_hz", "load_average", "governor", "governor_unavailable", "background_cores", "frequency_limit_hz", "rated_frequency_hz", "throttling")
    TEMPERATURE_C_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_HZ_FIELD_NUMBER: _ClassVar[int]
    LOAD_AVERAGE_FIELD_NUMBER: _ClassVar[int]
    GOVERNOR_FIELD_NUMBER: _ClassVar[int]
    GOVERNOR_UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_CORES_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_LIMIT_HZ_FIELD_NUMBER: _ClassVar[int]
    RATED_FREQUENCY_HZ_FIELD_NUMBER: _ClassVar[int]
    THROTTLING_FIELD_NUMBER: _ClassVar[int]
    temperature_c: _figure_pb2.Figure
    frequency_hz: _figure_pb2.Figure
    load_average: _figure_pb2.Figure
    governor: str
    governor_unavailable: str
    background_cores: _figure_pb2.Figure
    frequency_limit_hz: _figure_pb2.Figure
    rated_frequency_hz: _figure_pb2.Figure
    throttling: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, temperature_c: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., frequency_hz: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., load_average: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., governor: _Optional[str] = ..., governor_unavailable: _Optional[str] = ..., background_cores: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., frequency_limit_hz: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., rated_frequency_hz: _Optional[_Union[_figure_pb2.Figure, _Mapping]] = ..., throttling: _Optional[_Iterable[str]] = ...) -> None: ...
