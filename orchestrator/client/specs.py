"""Specifications with every default filled in, so that what was asked is on record.

The defaults are those of `orchestrator.protocol`, where each is explained.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from orchestrator.protocol import DEFAULT
from protos.gauntlet.v1 import artifact_pb2, fault_pb2, job_pb2, measurement_pb2, setup_pb2


def latency_spec(
    *,
    warmup_min_runs: int = DEFAULT.latency.warmup_min_runs,
    warmup_min_s: float = DEFAULT.latency.warmup_min_s,
    warmup_max_s: float = DEFAULT.latency.warmup_max_s,
    warmup_tolerance: float = DEFAULT.latency.warmup_tolerance,
    min_samples: int = DEFAULT.latency.min_samples,
    max_samples: int = DEFAULT.latency.max_samples,
    min_s: float = DEFAULT.latency.min_s,
    max_s: float = DEFAULT.latency.max_s,
    half_width: float = DEFAULT.latency.half_width,
    confidence: float = DEFAULT.latency.confidence,
    min_sample_s: float = DEFAULT.latency.min_sample_s,
    pin: bool = DEFAULT.latency.pin,
    processes: int = DEFAULT.latency.processes,
    max_processes: int = DEFAULT.latency.max_processes,
) -> measurement_pb2.LatencySpec:
    """How long to time, see `LatencySpec`. Seconds, counts, and ratios 0-1."""
    return measurement_pb2.LatencySpec(
        warmup_min_runs=warmup_min_runs,
        warmup_min_s=warmup_min_s,
        warmup_max_s=warmup_max_s,
        warmup_tolerance=warmup_tolerance,
        min_samples=min(min_samples, max_samples),
        max_samples=max_samples,
        min_s=min(min_s, max_s),
        max_s=max_s,
        half_width=half_width,
        confidence=confidence,
        min_sample_s=min_sample_s,
        pinning=measurement_pb2.PINNING_AUTO if pin else measurement_pb2.PINNING_NONE,
        processes=processes,
        max_processes=max(processes, max_processes) if processes > 1 else 1,
    )


def multi_stream_spec(
    *,
    samples_per_query: int = DEFAULT.multi_stream.samples_per_query,
    min_queries: int = DEFAULT.multi_stream.min_queries,
    max_queries: int = DEFAULT.multi_stream.max_queries,
    min_s: float = DEFAULT.multi_stream.min_s,
    max_s: float = DEFAULT.multi_stream.max_s,
) -> measurement_pb2.MultiStreamSpec:
    """Latency of queries of several samples, see `MultiStreamSpec`; 662 queries are what p99 takes (MLPerf)."""
    return measurement_pb2.MultiStreamSpec(
        samples_per_query=samples_per_query,
        min_queries=min(min_queries, max_queries),
        max_queries=max_queries,
        min_s=min(min_s, max_s),
        max_s=max_s,
    )


def offline_spec(
    *,
    batch_sizes: Sequence[int] = DEFAULT.offline.batch_sizes,
    threads: Sequence[int] = DEFAULT.offline.threads,
    min_s: float = DEFAULT.offline.min_s,
    max_s: float = DEFAULT.offline.max_s,
    half_width: float = DEFAULT.offline.half_width,
) -> measurement_pb2.OfflineSpec:
    """Throughput over batch sizes and threads, see `OfflineSpec`; the seconds are those of each cell."""
    return measurement_pb2.OfflineSpec(
        batch_sizes=batch_sizes, threads=threads, min_s=min(min_s, max_s), max_s=max_s, half_width=half_width
    )


def throttle_spec(
    *,
    repeats: int = DEFAULT.throttle.repeats,
    cool_to_c: float = DEFAULT.throttle.cool_to_c,
    cool_max_s: float = DEFAULT.throttle.cool_max_s,
    drift: float = DEFAULT.throttle.drift,
) -> measurement_pb2.ThrottleSpec:
    """What to do when the device throttles, see `ThrottleSpec`."""
    return measurement_pb2.ThrottleSpec(repeats=repeats, cool_to_c=cool_to_c, cool_max_s=cool_max_s, drift=drift)


def accuracy_spec(
    dataset: artifact_pb2.ArtifactRef,
    batch_size: int = DEFAULT.accuracy.batch_size,
    confidence: float = DEFAULT.accuracy.confidence,
) -> measurement_pb2.AccuracySpec:
    """Accuracy on a data-set artifact."""
    return measurement_pb2.AccuracySpec(dataset=dataset, batch_size=batch_size, confidence=confidence)


def output_check_spec(
    reference: artifact_pb2.ArtifactRef, tolerance: float = DEFAULT.output_check.tolerance
) -> measurement_pb2.OutputCheckSpec:
    """Compare outputs with a reference artifact; `tolerance` in standard deviations of the reference output."""
    return measurement_pb2.OutputCheckSpec(reference=reference, tolerance=tolerance)


def fault_plan(
    fault_model: str,
    *,
    seed: int = 0,
    half_width: float = 0.01,
    confidence: float = DEFAULT.accuracy.confidence,
    min_patterns: int = 30,
    max_patterns: int = 200,
    targets: Sequence[str] = (),
    first_pattern: int = 0,
    features: bool = False,
) -> fault_pb2.FaultPlan:
    """Accuracy under faults, see `FaultPlan`; needs accuracy, whose data set it uses.

    Patterns are drawn until the mean accuracy is known to ±`half_width` at `confidence` (ratios 0-1), at least
    `min_patterns` and at most `max_patterns` of them.

    Args:
        fault_model: text form, for example "iBF(p=0.001, per=bit)"; the device judges it.
        seed: the same for all candidates of a campaign.
        half_width: 0 draws `max_patterns`.
        confidence: of the interval.
        min_patterns: at least 1; fewer than ten would rank noise.
        max_patterns: at most 10,000.
        targets: glob patterns over tensor names; empty: all.
        first_pattern: its number, to cut a long campaign into jobs.
        features: strike feature maps, after the activation, instead of weights.
    """
    return fault_pb2.FaultPlan(
        fault_model=fault_model,
        site=fault_pb2.FAULT_SITE_AFTER_ACTIVATION if features else fault_pb2.FAULT_SITE_WEIGHTS,
        scale=fault_pb2.FAULT_SCALE_DEPLOYED,
        targets=targets,
        seed=seed,
        half_width=half_width,
        confidence=confidence,
        min_patterns=min(min_patterns, max_patterns),
        max_patterns=max_patterns,
        first_pattern=first_pattern,
    )


def comparison_spec(
    model: artifact_pb2.ArtifactRef,
    *,
    processes: int = DEFAULT.comparison.processes,
    max_processes: int = DEFAULT.comparison.max_processes,
    min_segment_s: float = DEFAULT.comparison.min_segment_s,
    min_segment_samples: int = DEFAULT.comparison.min_segment_samples,
    min_sample_s: float = DEFAULT.comparison.min_sample_s,
    min_blocks: int = DEFAULT.comparison.min_blocks,
    max_blocks: int = DEFAULT.comparison.max_blocks,
    max_s: float = DEFAULT.comparison.max_s,
    half_width: float = DEFAULT.comparison.half_width,
    confidence: float = DEFAULT.comparison.confidence,
    warmup_min_runs: int = DEFAULT.comparison.warmup_min_runs,
    warmup_min_s: float = DEFAULT.comparison.warmup_min_s,
    warmup_max_s: float = DEFAULT.comparison.warmup_max_s,
    warmup_tolerance: float = DEFAULT.comparison.warmup_tolerance,
    pin: bool = DEFAULT.comparison.pin,
    noise_floor: float | None = None,
) -> measurement_pb2.ComparisonSpec:
    """Model B against the model of the specification, see `ComparisonSpec`. Seconds, counts, and ratios 0-1."""
    return measurement_pb2.ComparisonSpec(
        model=model,
        processes=min(processes, max_processes),
        max_processes=max_processes,
        min_segment_s=min_segment_s,
        min_segment_samples=min_segment_samples,
        min_sample_s=min_sample_s,
        min_blocks=min(min_blocks, max_blocks),
        max_blocks=max_blocks,
        max_s=max_s,
        half_width=half_width,
        confidence=confidence,
        warmup_min_runs=warmup_min_runs,
        warmup_min_s=warmup_min_s,
        warmup_max_s=max(warmup_max_s, warmup_min_s),
        warmup_tolerance=warmup_tolerance,
        pinning=measurement_pb2.PINNING_AUTO if pin else measurement_pb2.PINNING_NONE,
        noise_floor=noise_floor,
    )


def measurement_spec(
    model: artifact_pb2.ArtifactRef,
    *,
    runtime: str = "",
    threads: int = 1,
    delegate: str | None = None,
    latency: measurement_pb2.LatencySpec | None = None,
    memory: bool = True,
    accuracy: measurement_pb2.AccuracySpec | None = None,
    output_check: measurement_pb2.OutputCheckSpec | None = None,
    energy: bool = True,
    fault_plan: fault_pb2.FaultPlan | None = None,
    profile: bool = False,
    comparison: measurement_pb2.ComparisonSpec | None = None,
    setup: setup_pb2.DeviceSetup | None = None,
    multi_stream: measurement_pb2.MultiStreamSpec | None = None,
    offline: measurement_pb2.OfflineSpec | None = None,
    throttle: measurement_pb2.ThrottleSpec | None = None,
    memory_runs: int = DEFAULT.memory.runs,
    energy_window_s: float = DEFAULT.energy.window_s,
    profile_inferences: int = DEFAULT.profile.inferences,
    timeout_s: float = DEFAULT.job.timeout_s,
) -> measurement_pb2.MeasurementSpec:
    """What to measure on one device. A part that is None or False is not measured.

    A delegate of None is XNNPACK for a .tflite model, and the runtime's first for others; a `throttle` of None is the
    default policy wherever something is timed.
    """
    if delegate is None:
        delegate = "xnnpack" if model.media_type in ("", "model/tflite") else ""
    timed = any((latency, energy, comparison, multi_stream, offline))
    return measurement_pb2.MeasurementSpec(
        model=model,
        runtime=measurement_pb2.RuntimeSpec(name=runtime, threads=threads, delegate=delegate),
        output_check=output_check,
        latency=latency,
        memory=measurement_pb2.MemorySpec(runs=memory_runs) if memory else None,
        accuracy=accuracy,
        energy=measurement_pb2.EnergySpec(window_s=energy_window_s) if energy else None,
        fault_plan=fault_plan,
        profile=measurement_pb2.ProfileSpec(inferences=profile_inferences) if profile else None,
        comparison=comparison,
        setup=setup,
        multi_stream=multi_stream,
        offline=offline,
        throttle=(throttle or throttle_spec()) if timed else None,
        timeout_s=timeout_s,
    )


def job_spec(
    measurement: measurement_pb2.MeasurementSpec,
    *,
    device_id: str = "",
    device_class: str = "",
    labels: Mapping[str, str] | None = None,
    min_memory_bytes: int = 0,
    sensors: Sequence[str] = (),
    idempotency_key: str | None = None,
    priority: int = 0,
    campaign_id: str = "",
    max_attempts: int = DEFAULT.job.max_attempts,
    queue_timeout_s: float = DEFAULT.job.queue_timeout_s,
    deadline_s: float = 0.0,
) -> job_pb2.JobSpec:
    """A job for any device that fits; without an idempotency key each call makes a job of its own.

    Args:
        measurement: what to measure.
        device_id: this very device; empty: any.
        device_class: any device of the class; empty: any.
        labels: that the device must carry.
        min_memory_bytes: that it must have.
        sensors: quantities that it must be able to sense, for example "energy_j".
        idempotency_key: two submissions with one key are one job.
        priority: higher goes first.
        campaign_id: the campaign that it belongs to; a user's campaigns get equal shares of the devices.
        max_attempts: leases that may be tried.
        queue_timeout_s: it fails after so long in the queue, counted anew whenever it comes back there; 0: never.
        deadline_s: it fails so long after its submission, wherever it is then; 0: never.
    """
    return job_pb2.JobSpec(
        idempotency_key=uuid.uuid4().hex if idempotency_key is None else idempotency_key,
        device=job_pb2.DeviceSelector(
            device_id=device_id,
            device_class=device_class,
            labels=labels,
            min_memory_bytes=min_memory_bytes,
            sensors=sensors,
        ),
        measurement=measurement,
        priority=priority,
        campaign_id=campaign_id,
        max_attempts=max_attempts,
        queue_timeout_s=queue_timeout_s,
        deadline_s=deadline_s,
    )
