"""Checks of what clients submit: the first thing wrong, in one line that names the field."""

from __future__ import annotations

import math
import re

from protos import artifacts, contract
from protos.gauntlet.v1 import fault_pb2, job_pb2, measurement_pb2
from protos.timed import timed_parts

MODEL_MEDIA_TYPES = ("model/tflite", "model/onnx", "model/pt2")
#: With the largest result beside it, a job still fits into a message.
_MAX_SPEC_BYTES = 128 * 1024
_MAX_NAME, _MAX_MEDIA_TYPE = 255, 100
_MAX_THREADS = 256
_MAX_BATCH = 4096
_MAX_CELLS = 64
_MAX_TIMEOUT_S = 3600.0
_MAX_SAMPLES = 1_000_000
_MAX_ATTEMPTS = 10
_MAX_FAULT_MODEL_CHARS = 200
_MAX_PATTERNS = 10_000
_MAX_FREQUENCY_HZ = 1e11
#: Names of governors and power modes, numbers of cores: they become words of files and commands on a device.
_SETUP_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_,-]{0,63}")
#: As a device names what it senses.
_QUANTITY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MAX_DEADLINE_S = 1e9
_MAX_PROCESSES = 100
_MAX_REPEATS = 10
_MAX_TEMPERATURE_C = 150.0
#: All block ratios of a comparison travel in its result: 100 processes of them stay below a message's 4 MB.
_MAX_BLOCKS = 4_000


class InvalidSpecError(ValueError):
    """A specification that makes no sense; the message names the field."""


def check_job(spec: job_pb2.JobSpec) -> None:
    """Check all that can be checked without knowing the fleet.

    Raises:
        InvalidSpecError: names the first field that is wrong.
    """
    if not 1 <= len(spec.idempotency_key) <= 200:
        raise InvalidSpecError("idempotency_key must have 1-200 characters")
    if spec.ByteSize() > _MAX_SPEC_BYTES:
        raise InvalidSpecError(f"a job must be specified in {_MAX_SPEC_BYTES} bytes, not {spec.ByteSize()}")
    for ref in artifacts.needed(spec.measurement):
        if len(ref.name) > _MAX_NAME or len(ref.media_type) > _MAX_MEDIA_TYPE:
            raise InvalidSpecError(
                f"artifact {ref.digest[:12]}: a name has at most {_MAX_NAME} characters, a media type {_MAX_MEDIA_TYPE}"
            )
    if spec.campaign_id and not contract.is_id(spec.campaign_id):
        raise InvalidSpecError(f"campaign_id {spec.campaign_id!r} is malformed")
    if spec.repeats_job_id:
        raise InvalidSpecError("repeats_job_id is set by the orchestrator alone")
    _within("max_attempts", spec.max_attempts, 1, _MAX_ATTEMPTS)
    _within("queue_timeout_s", spec.queue_timeout_s, 0, math.inf)
    _within("deadline_s", spec.deadline_s, 0, _MAX_DEADLINE_S)
    if not all(_QUANTITY.fullmatch(name) for name in spec.device.sensors):
        raise InvalidSpecError("device.sensors must be names of quantities, such as energy_j")
    _check_measurement(spec.measurement)


def _check_measurement(spec: measurement_pb2.MeasurementSpec) -> None:
    if spec.model.media_type not in MODEL_MEDIA_TYPES:
        known = ", ".join(MODEL_MEDIA_TYPES)
        raise InvalidSpecError(f"model.media_type {spec.model.media_type!r} is none of {known}")
    parts = (
        *("latency", "memory", "accuracy", "output_check", "energy", "fault_plan", "profile", "comparison"),
        *("multi_stream", "offline"),
    )
    if not any(spec.HasField(part) for part in parts):
        raise InvalidSpecError(f"nothing to measure: give at least one of {', '.join(parts)}")
    if spec.HasField("fault_plan") and not spec.HasField("accuracy"):
        raise InvalidSpecError("a fault_plan needs accuracy, whose data set it uses")
    _within("runtime.threads", spec.runtime.threads, 1, _MAX_THREADS)
    _within("timeout_s", spec.timeout_s, 0.1, _MAX_TIMEOUT_S)
    if spec.HasField("latency"):
        _check_latency(spec.latency)
    if spec.HasField("memory"):
        _within("memory.runs", spec.memory.runs, 1, 10_000)
    if spec.HasField("accuracy"):
        _within("accuracy.batch_size", spec.accuracy.batch_size, 1, _MAX_BATCH)
        _between("accuracy.confidence", spec.accuracy.confidence)
    if spec.HasField("output_check") and not spec.output_check.tolerance > 0:
        raise InvalidSpecError("output_check.tolerance must be positive")
    if spec.HasField("energy"):
        _within("energy.window_s", spec.energy.window_s, 0.1, 600)
    if spec.HasField("comparison"):
        others = [part for part in parts if part != "comparison" and spec.HasField(part)]
        if others:
            raise InvalidSpecError(f"a comparison stands alone, without {', '.join(others)}")
        _check_comparison(spec.comparison, spec.model.media_type)
    if spec.HasField("profile"):
        _within("profile.inferences", spec.profile.inferences, 1, 10_000)
    if spec.HasField("fault_plan"):
        if spec.model.media_type != "model/tflite":
            raise InvalidSpecError(f"a fault_plan needs a model/tflite, not a {spec.model.media_type}")
        _check_fault_plan(spec.fault_plan)
    if spec.HasField("multi_stream"):
        _check_multi_stream(spec.multi_stream)
    if spec.HasField("offline"):
        _check_offline(spec.offline, spec.timeout_s)
    if spec.HasField("setup"):
        _check_setup(spec)
    if spec.HasField("throttle"):
        _check_throttle(spec.throttle)


def _check_latency(spec: measurement_pb2.LatencySpec) -> None:
    _within("latency.min_samples", spec.min_samples, 1, _MAX_SAMPLES)
    _within("latency.max_samples", spec.max_samples, spec.min_samples, _MAX_SAMPLES)
    _within("latency.warmup_min_runs", spec.warmup_min_runs, 0, _MAX_SAMPLES)
    _within("latency.warmup_min_s", spec.warmup_min_s, 0, _MAX_TIMEOUT_S)
    _within("latency.warmup_max_s", spec.warmup_max_s, spec.warmup_min_s, _MAX_TIMEOUT_S)
    _within("latency.min_s", spec.min_s, 0, _MAX_TIMEOUT_S)
    _within("latency.max_s", spec.max_s, max(spec.min_s, 1e-3), _MAX_TIMEOUT_S)
    _within("latency.min_sample_s", spec.min_sample_s, 0, 1)
    _within("latency.processes", spec.processes, 0, _MAX_PROCESSES)
    _within("latency.max_processes", spec.max_processes, spec.processes, _MAX_PROCESSES)
    _between("latency.warmup_tolerance", spec.warmup_tolerance)
    _between("latency.half_width", spec.half_width)
    _between("latency.confidence", spec.confidence)


def _check_multi_stream(spec: measurement_pb2.MultiStreamSpec) -> None:
    _within("multi_stream.samples_per_query", spec.samples_per_query, 1, _MAX_BATCH)
    _within("multi_stream.min_queries", spec.min_queries, 1, _MAX_SAMPLES)
    _within("multi_stream.max_queries", spec.max_queries, spec.min_queries, _MAX_SAMPLES)
    _within("multi_stream.min_s", spec.min_s, 0, _MAX_TIMEOUT_S)
    _within("multi_stream.max_s", spec.max_s, max(spec.min_s, 1e-3), _MAX_TIMEOUT_S)


def _check_offline(spec: measurement_pb2.OfflineSpec, timeout_s: float) -> None:
    for name, values, most in (("batch_sizes", spec.batch_sizes, _MAX_BATCH), ("threads", spec.threads, _MAX_THREADS)):
        if not values:
            raise InvalidSpecError(f"offline.{name} must name at least one number")
        for value in values:
            _within(f"offline.{name}", value, 1, most)
        if len(set(values)) < len(values):
            raise InvalidSpecError(f"offline.{name} must not name a number twice")
    cells = len(spec.batch_sizes) * len(spec.threads)
    if cells > _MAX_CELLS:
        raise InvalidSpecError(f"offline must have at most {_MAX_CELLS} pairs of batch size and threads, not {cells}")
    _within("offline.min_s", spec.min_s, 1e-3, _MAX_TIMEOUT_S)
    _within("offline.max_s", spec.max_s, spec.min_s, _MAX_TIMEOUT_S)
    _between("offline.half_width", spec.half_width)
    if cells * spec.min_s >= timeout_s:
        raise InvalidSpecError(
            f"offline: {cells} pairs of at least {spec.min_s:g} s each do not fit into a timeout_s of {timeout_s:g}; "
            "ask for fewer pairs or more time"
        )


def _check_comparison(spec: measurement_pb2.ComparisonSpec, media_type: str) -> None:
    if spec.model.media_type != media_type:
        # Latencies from different runtimes are never ranked together.
        raise InvalidSpecError(
            f"comparison.model.media_type {spec.model.media_type!r} must be that of the other model, {media_type!r}"
        )
    _within("comparison.processes", spec.processes, 2, _MAX_PROCESSES)
    _within("comparison.max_processes", spec.max_processes, spec.processes, _MAX_PROCESSES)
    _within("comparison.min_segment_s", spec.min_segment_s, 0, 10)
    _within("comparison.min_segment_samples", spec.min_segment_samples, 1, 10_000)
    _within("comparison.min_sample_s", spec.min_sample_s, 0, 1)
    _within("comparison.min_blocks", spec.min_blocks, 1, _MAX_BLOCKS)
    _within("comparison.max_blocks", spec.max_blocks, spec.min_blocks, _MAX_BLOCKS)
    _within("comparison.max_s", spec.max_s, 1e-3, _MAX_TIMEOUT_S)
    _within("comparison.warmup_min_runs", spec.warmup_min_runs, 0, _MAX_SAMPLES)
    _within("comparison.warmup_min_s", spec.warmup_min_s, 0, _MAX_TIMEOUT_S)
    _within("comparison.warmup_max_s", spec.warmup_max_s, spec.warmup_min_s, _MAX_TIMEOUT_S)
    _between("comparison.warmup_tolerance", spec.warmup_tolerance)
    _between("comparison.half_width", spec.half_width)
    _between("comparison.confidence", spec.confidence)
    if spec.HasField("noise_floor"):
        _within("comparison.noise_floor", spec.noise_floor, 0, 1)


def _check_setup(spec: measurement_pb2.MeasurementSpec) -> None:
    setup = spec.setup
    if not timed_parts(spec):
        raise InvalidSpecError("a setup holds for timed windows: ask for latency, energy, a comparison or a scenario")
    for name, value in (("governor", setup.governor), ("power_mode", setup.power_mode), ("cores", setup.cores)):
        if value and not _SETUP_WORD.fullmatch(value):
            raise InvalidSpecError(f"setup.{name} {value[:80]!r} is malformed")
    _within("setup.min_frequency_hz", setup.min_frequency_hz, 0, _MAX_FREQUENCY_HZ)
    _within("setup.max_frequency_hz", setup.max_frequency_hz, 0, _MAX_FREQUENCY_HZ)
    if setup.max_frequency_hz and setup.min_frequency_hz > setup.max_frequency_hz:
        raise InvalidSpecError("setup.min_frequency_hz must not lie above setup.max_frequency_hz")


def _check_throttle(spec: measurement_pb2.ThrottleSpec) -> None:
    _within("throttle.repeats", spec.repeats, 0, _MAX_REPEATS)
    _within("throttle.cool_to_c", spec.cool_to_c, 0, _MAX_TEMPERATURE_C)
    _within("throttle.cool_max_s", spec.cool_max_s, 0, _MAX_TIMEOUT_S)
    _between("throttle.drift", spec.drift)


def _check_fault_plan(plan: fault_pb2.FaultPlan) -> None:
    # What the text means is for the device to judge: fault models are its business.
    if not 1 <= len(plan.fault_model) <= _MAX_FAULT_MODEL_CHARS:
        raise InvalidSpecError(f"fault_plan.fault_model must have 1-{_MAX_FAULT_MODEL_CHARS} characters")
    if plan.site == fault_pb2.FAULT_SITE_UNSPECIFIED:
        raise InvalidSpecError("fault_plan.site must be given")
    if plan.scale == fault_pb2.FAULT_SCALE_UNSPECIFIED:
        raise InvalidSpecError("fault_plan.scale must be given")
    _within("fault_plan.half_width", plan.half_width, 0, 0.5)
    _between("fault_plan.confidence", plan.confidence)
    _within("fault_plan.min_patterns", plan.min_patterns, 1, _MAX_PATTERNS)
    _within("fault_plan.max_patterns", plan.max_patterns, plan.min_patterns, _MAX_PATTERNS)
    _within("fault_plan.budget_s", plan.budget_s, 0, _MAX_TIMEOUT_S)
    _within("fault_plan.duty", plan.duty, 0, 1)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # NaN fails, too
        raise InvalidSpecError(f"{name} must lie in {low:g} to {high:g}, not {value:g}")


def _between(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise InvalidSpecError(f"{name} must lie between 0 and 1, not {value:g}")
