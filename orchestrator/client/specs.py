"""Specifications with every default filled in, so that what was asked is on record.

The defaults follow `DESIGN` and the practice of benchmarking tools: warm up at least 10 runs and 0.5 s until window
medians agree within 2 %; sample at least 30 times and 1 s until the median's 95 % interval is within ±1 %.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from protos.gauntlet.v1 import artifact_pb2, fault_pb2, job_pb2, measurement_pb2, setup_pb2

CONFIDENCE = 0.95


def latency_spec(
    *,
    warmup_min_runs: int = 10,
    warmup_min_s: float = 0.5,
    warmup_max_s: float = 10.0,
    warmup_tolerance: float = 0.02,
    min_samples: int = 30,
    max_samples: int = 100_000,
    min_s: float = 1.0,
    max_s: float = 10.0,
    half_width: float = 0.01,
    confidence: float = CONFIDENCE,
    min_sample_s: float = 100e-6,
    pin: bool = True,
    processes: int = 1,
    max_processes: int = 15,
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
    samples_per_query: int = 8,
    min_queries: int = 662,
    max_queries: int = 100_000,
    min_s: float = 1.0,
    max_s: float = 60.0,
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
    batch_sizes: Sequence[int] = (1, 2, 4, 8, 16, 32),
    threads: Sequence[int] = (1,),
    min_s: float = 0.5,
    max_s: float = 5.0,
    half_width: float = 0.01,
) -> measurement_pb2.OfflineSpec:
    """Throughput over batch sizes and threads, see `OfflineSpec`; the seconds are those of each cell."""
    return measurement_pb2.OfflineSpec(
        batch_sizes=batch_sizes, threads=threads, min_s=min(min_s, max_s), max_s=max_s, half_width=half_width
    )


def throttle_spec(
    *, repeats: int = 2, cool_to_c: float = 0.0, cool_max_s: float = 120.0, drift: float = 0.03
) -> measurement_pb2.ThrottleSpec:
    """What to do when the device throttles, see `ThrottleSpec`."""
    return measurement_pb2.ThrottleSpec(repeats=repeats, cool_to_c=cool_to_c, cool_max_s=cool_max_s, drift=drift)


def accuracy_spec(dataset: artifact_pb2.ArtifactRef, batch_size: int = 32) -> measurement_pb2.AccuracySpec:
    """Accuracy on a data-set artifact."""
    return measurement_pb2.AccuracySpec(dataset=dataset, batch_size=batch_size, confidence=CONFIDENCE)


def output_check_spec(reference: artifact_pb2.ArtifactRef, tolerance: float = 0.05) -> measurement_pb2.OutputCheckSpec:
    """Compare outputs with a reference artifact; `tolerance` in standard deviations of the reference output."""
    return measurement_pb2.OutputCheckSpec(reference=reference, tolerance=tolerance)


def fault_plan(
    fault_model: str,
    *,
    seed: int = 0,
    half_width: float = 0.01,
    confidence: float = CONFIDENCE,
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
    processes: int = 6,
    max_processes: int = 15,
    min_segment_s: float = 0.005,
    min_segment_samples: int = 5,
    min_sample_s: float = 100e-6,
    min_blocks: int = 20,
    max_blocks: int = 1_000,
    max_s: float = 2.0,
    half_width: float = 0.01,
    confidence: float = CONFIDENCE,
    warmup_min_runs: int = 10,
    warmup_min_s: float = 0.3,
    warmup_max_s: float = 3.0,
    warmup_tolerance: float = 0.02,
    pin: bool = True,
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
    timeout_s: float = 120.0,
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
        memory=measurement_pb2.MemorySpec(runs=5) if memory else None,
        accuracy=accuracy,
        energy=measurement_pb2.EnergySpec(window_s=5.0) if energy else None,
        fault_plan=fault_plan,
        profile=measurement_pb2.ProfileSpec(inferences=50) if profile else None,
        comparison=comparison,
        setup=setup,
        multi_stream=multi_stream,
        offline=offline,
        throttle=throttle or (throttle_spec() if timed else None),
        timeout_s=timeout_s,
    )


def job_spec(
    measurement: measurement_pb2.MeasurementSpec,
    *,
    device_id: str = "",
    device_class: str = "",
    labels: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
    priority: int = 0,
    campaign_id: str = "",
    max_attempts: int = 3,
    queue_timeout_s: float = 0.0,
) -> job_pb2.JobSpec:
    """A job for any device that fits; without an idempotency key each call makes a job of its own."""
    return job_pb2.JobSpec(
        idempotency_key=uuid.uuid4().hex if idempotency_key is None else idempotency_key,
        device=job_pb2.DeviceSelector(device_id=device_id, device_class=device_class, labels=labels),
        measurement=measurement,
        priority=priority,
        campaign_id=campaign_id,
        max_attempts=max_attempts,
        queue_timeout_s=queue_timeout_s,
    )
