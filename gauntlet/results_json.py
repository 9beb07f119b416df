"""Messages as JSON for programs.

One shape for every figure: ``{"value": …, "samples": …, "interval": {…} | null, "origin": "measured"}``, or
``{"unavailable": reason, "origin": …}``. SI units, named by the keys. Under one schema version
keys are only ever added.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from gauntlet.asked_json import asked_document
from gauntlet.setup import setup_document
from protos.blame import blame, kind_name
from protos.figures import unavailable
from protos.gauntlet.v1 import (
    artifact_pb2,
    failure_pb2,
    fault_pb2,
    figure_pb2,
    fleet_pb2,
    job_pb2,
    measurement_pb2,
)

SCHEMA_VERSION = 1

Document = dict[str, Any]
_NOT_ASKED = "not asked for"


def document(**content: Any) -> Document:
    """A whole output of the command line."""
    from protos.contract import software_version

    return {"schema_version": SCHEMA_VERSION, "software_version": software_version(), **content}


def error_document(message: str, remedy: str, exit_code: int) -> Document:
    """What is printed instead of a result."""
    return document(error={"message": message, "remedy": remedy}, exit_code=exit_code)


def job_document(job: job_pb2.Job, device: fleet_pb2.Device | None = None) -> Document:
    """A job with all that is known of it. Of a job without a result, every figure says why it is missing."""
    from gauntlet.comparison_json import comparison_document
    from gauntlet.devices_json import device_document
    from gauntlet.profile_json import profile_document
    from gauntlet.scenarios_json import multi_stream_document, offline_document

    spec = job.spec.measurement
    result = job.result
    failure = job.failure if job.HasField("failure") else None
    return {
        "job_id": job.job_id,
        "state": state_name(job.state),
        "submitted_at": job.submitted_at or None,
        "finished_at": job.finished_at or None,
        "step": job.step or None,
        "waits_for": job.waits_for or None,
        "suspicion": (
            {
                "reason": job.suspicion.reason,
                "successor_job_id": job.suspicion.successor_job_id or None,
                "marked_at": job.suspicion.marked_at,
            }
            if job.HasField("suspicion")
            else None
        ),
        "repeats_job_id": job.spec.repeats_job_id or None,
        "user": job.user or None,
        "model": {**artifact_document(spec.model), **_model_facts(result.model)},
        "specification": {
            "runtime": spec.runtime.name or None,
            "threads": spec.runtime.threads,
            "delegate": spec.runtime.delegate,
            "timeout_s": spec.timeout_s,
            "max_attempts": job.spec.max_attempts,
            "queue_timeout_s": job.spec.queue_timeout_s or None,
            "deadline_s": job.spec.deadline_s or None,
            "campaign_id": job.spec.campaign_id or None,
            "device_id": job.spec.device.device_id or None,
            "device_class": job.spec.device.device_class or None,
            "labels": dict(job.spec.device.labels),
            "min_memory_bytes": job.spec.device.min_memory_bytes or None,
            "sensors": list(job.spec.device.sensors),
            "latency": _latency_spec(spec.latency) if spec.HasField("latency") else None,
            "throttle": _throttle_spec(spec.throttle) if spec.HasField("throttle") else None,
            "output_check_tolerance": spec.output_check.tolerance if spec.HasField("output_check") else None,
            "fault_plan": _fault_plan(spec.fault_plan) if spec.HasField("fault_plan") else None,
            **asked_document(spec),
        },
        "latency": _latency(job),
        "memory": _part(job, "memory", ("peak_bytes", "model_bytes")),
        "energy": {
            **_part(job, "energy", ("energy_j", "net_energy_j", "power_w", "idle_power_w")),
            "source": result.energy.source or None,
            "window_s": result.energy.window_s or None,
        },
        "accuracy": {
            **_part(job, "accuracy", ("top1",)),
            "samples": result.accuracy.samples,
            "non_finite": result.accuracy.non_finite,
        },
        "faults": {
            **_part(job, "faults", ("accuracy", "clean_accuracy", "non_finite"), asked="fault_plan"),
            "pattern_accuracies": list(result.faults.pattern_accuracies),
            "fault_counts": list(result.faults.fault_counts),
            "stop_reason": (
                word(measurement_pb2.PatternStop, result.faults.stop, "PATTERN_STOP_")
                if result.HasField("faults")
                else None
            ),
        },
        "output_check": _part(job, "output_check", ("max_difference", "top1_agreement")),
        "comparison": comparison_document(job) if spec.HasField("comparison") else None,
        "multi_stream": multi_stream_document(job) if spec.HasField("multi_stream") else None,
        "offline": offline_document(job) if spec.HasField("offline") else None,
        "profile": profile_document(job),
        "provenance": _provenance(result.provenance) if result.HasField("provenance") else None,
        "device": device_document(device) if device is not None else None,
        "failure": failure_document(failure) if failure is not None else None,
        "attempts": [attempt_document(attempt) for attempt in job.attempts],
        "superseded_results": job.superseded_results,
    }


def summary_document(job: fleet_pb2.JobSummary) -> Document:
    """A line of `gauntlet jobs`."""
    failed = job.failure_kind != failure_pb2.FAILURE_KIND_UNSPECIFIED
    return {
        "job_id": job.job_id,
        "state": state_name(job.state),
        "model": {"name": job.model_name, "digest": job.model_digest},
        "device_id": job.device_id or None,
        "submitted_at": job.submitted_at or None,
        "finished_at": job.finished_at or None,
        "attempts": job.attempts,
        "failure": {"kind": kind_name(job.failure_kind), "message": job.failure_message} if failed else None,
        "campaign_id": job.campaign_id or None,
        "user": job.user or None,
        "suspect_because": job.suspect_because or None,
        "waits_for": job.waits_for or None,
    }


def attempt_document(attempt: job_pb2.Attempt) -> Document:
    """One lease of a job."""
    return {
        "number": attempt.number,
        "device_id": attempt.device_id,
        "started_at": attempt.started_at or None,
        "ended_at": attempt.ended_at or None,
        "failure": failure_document(attempt.failure) if attempt.HasField("failure") else None,
    }


def failure_document(failure: failure_pb2.Failure) -> Document:
    """Why there is no result."""
    return {
        "kind": kind_name(failure.kind),
        "blame": blame(failure).value,
        "message": failure.message,
        "remedy": failure.remedy,
        "signal": failure.signal if failure.HasField("signal") else None,
        "last_step": failure.last_step or None,
        "stderr_tail": failure.stderr_tail,
    }


def artifact_document(ref: artifact_pb2.ArtifactRef) -> Document:
    """A file by its content."""
    return {"name": ref.name, "digest": ref.digest, "size_bytes": ref.size_bytes, "media_type": ref.media_type}


def figure_document(figure: figure_pb2.Figure) -> Document:
    """A value with what it rests on, or the reason why there is none."""
    origin = word(figure_pb2.Origin, figure.origin, "ORIGIN_")
    if not figure.HasField("estimate"):
        return {"unavailable": reason_of(figure), "origin": origin}
    estimate = figure.estimate
    if not math.isfinite(estimate.value):
        # JSON has no word for it, and no ranking should meet it.
        return {"unavailable": f"the device reported {estimate.value}", "origin": origin}
    interval = estimate.interval
    has_interval = estimate.HasField("interval") and math.isfinite(interval.low) and math.isfinite(interval.high)
    return {
        "value": estimate.value,
        "samples": estimate.samples,
        "interval": {
            "low": interval.low,
            "high": interval.high,
            "confidence": interval.confidence,
            "method": interval.method,
        }
        if has_interval
        else None,
        "origin": origin,
    }


def reason_of(figure: figure_pb2.Figure) -> str:
    """Why a figure has no value."""
    return figure.unavailable or "not reported"


def state_name(state: int) -> str:
    """JOB_STATE_QUEUED is "queued"."""
    return word(job_pb2.JobState, state, "JOB_STATE_")


def stop_reason_name(reason: int) -> str:
    """STOP_REASON_MAX_TIME is "max time"."""
    return word(measurement_pb2.StopReason, reason, "STOP_REASON_")


def word(enum: Any, number: int, prefix: str) -> str:
    """A value of an enumeration in words: JOB_STATE_QUEUED with the prefix "JOB_STATE_" is "queued"."""
    # A number that we do not know comes from a newer peer.
    name: str = enum.Name(number) if number in enum.values() else f"{prefix}{number}"
    return name.removeprefix(prefix).lower().replace("_", " ")


def _part(job: job_pb2.Job, part: str, names: Iterable[str], asked: str = "") -> Document:
    """The figures of one part of the measurement; one reason for all when there is no such part.

    Args:
        job: with a result or without.
        part: its name in the result.
        names: of the figures.
        asked: its name in the specification, where that is another.
    """
    if job.result.HasField(part):
        message = getattr(job.result, part)
        return {name: figure_document(getattr(message, name)) for name in names}
    reason = why_missing(job, asked or part)
    return {name: {"unavailable": reason, "origin": "measured"} for name in names}


def why_missing(job: job_pb2.Job, part: str) -> str:
    """Why the result has no such part ("latency", "memory", …)."""
    if not job.spec.measurement.HasField(part):
        return _NOT_ASKED
    if job.HasField("failure"):
        return f"the job ended with: {kind_name(job.failure.kind)}"
    return "the device did not report it" if job.HasField("result") else "not measured yet"


def _latency(job: job_pb2.Job) -> Document:
    figures = _part(
        job,
        "latency",
        ("load_s", "first_inference_s", "median_s", "mean_s", "min_s", "max_s", "mad_s", "process_spread"),
    )
    if not job.result.HasField("latency"):
        empty: Document = {"histogram": None, "raw_samples": None, "stop_reason": None}
        return {**figures, **empty, "percentiles": [], "processes": []}
    latency = job.result.latency
    histogram = latency.histogram
    return {
        **figures,
        "percentiles": [
            {"rank": entry.rank, "latency_s": figure_document(entry.latency_s)} for entry in latency.percentiles
        ],
        "stop_reason": stop_reason_name(latency.stop_reason),
        "calls_per_sample": latency.calls_per_sample,
        "warmup_runs": latency.warmup_runs,
        "warmup_s": latency.warmup_s,
        "warmup_settled": latency.warmup_settled,
        "histogram": {
            "low_s": histogram.low,
            "high_s": histogram.high,
            "counts": list(histogram.counts),
            "overflow": histogram.overflow,
        },
        "raw_samples": artifact_document(latency.raw_samples) if latency.raw_samples.digest else None,
        "process_spread": figure_document(process_spread(latency)),
        "processes": [_latency_run(run) for run in latency.runs],
    }


def process_spread(latency: measurement_pb2.LatencyResult) -> figure_pb2.Figure:
    """Deviation of the median's logarithm between processes; one process has none."""
    return latency.process_spread if latency.HasField("process_spread") else unavailable("measured in one process")


def _latency_run(run: measurement_pb2.LatencyRun) -> Document:
    names = ("load_s", "first_inference_s", "median_s", "mean_s")
    return {
        **{name: figure_document(getattr(run, name)) for name in names},
        "stop_reason": stop_reason_name(run.stop_reason),
        "warmup_settled": run.warmup_settled,
        "raw_samples": artifact_document(run.raw_samples) if run.raw_samples.digest else None,
    }


def _latency_spec(spec: measurement_pb2.LatencySpec) -> Document:
    names = (
        *("warmup_min_runs", "warmup_min_s", "warmup_max_s", "warmup_tolerance"),
        *("min_samples", "max_samples", "min_s", "max_s", "half_width", "confidence", "min_sample_s"),
        *("processes", "max_processes"),
    )
    numbers = {name: getattr(spec, name) for name in names}
    return {**numbers, "pinning": word(measurement_pb2.Pinning, spec.pinning, "PINNING_")}


def _throttle_spec(spec: measurement_pb2.ThrottleSpec) -> Document:
    return {name: getattr(spec, name) for name in ("repeats", "cool_to_c", "cool_max_s", "drift")}


def _fault_plan(plan: fault_pb2.FaultPlan) -> Document:
    numbers = ("seed", "half_width", "confidence", "min_patterns", "max_patterns", "first_pattern")
    return {
        "fault_model": plan.fault_model,
        "site": word(fault_pb2.FaultSite, plan.site, "FAULT_SITE_"),
        "scale": word(fault_pb2.FaultScale, plan.scale, "FAULT_SCALE_"),
        "targets": list(plan.targets),
        **{name: getattr(plan, name) for name in numbers},
    }


def _model_facts(model: measurement_pb2.ModelFacts) -> Document:
    return {
        name: [
            {
                "name": tensor.name,
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                "scale": tensor.scale if tensor.HasField("scale") else None,
                "zero_point": tensor.zero_point if tensor.HasField("zero_point") else None,
            }
            for tensor in tensors
        ]
        for name, tensors in (("inputs", model.inputs), ("outputs", model.outputs))
    }


def _provenance(provenance: measurement_pb2.Provenance) -> Document:
    return {
        "device_id": provenance.device_id,
        "device_class": provenance.device_class,
        "agent_id": provenance.agent_id,
        "software_version": provenance.software_version,
        "runtime": provenance.runtime,
        "runtime_version": provenance.runtime_version,
        "delegate": provenance.delegate,
        "threads": provenance.threads,
        "cpus": list(provenance.cpus),
        "model_digest": provenance.model_digest,
        "host_shared": provenance.host_shared,
        "before": _host_state(provenance.before),
        "after": _host_state(provenance.after),
        "started_at": provenance.started_at or None,
        "fetch_s": provenance.fetch_s,
        "host_lock_wait_s": provenance.host_lock_wait_s,
        "worker_s": provenance.worker_s,
        "remarks": list(provenance.remarks),
        "unfit": list(provenance.unfit),
        "setup": setup_document(provenance.setup) if provenance.HasField("setup") else None,
    }


def _host_state(state: measurement_pb2.HostState) -> Document:
    names = (
        *("temperature_c", "frequency_hz", "frequency_limit_hz", "rated_frequency_hz"),
        *("load_average", "background_cores"),
    )
    return {
        **{name: figure_document(getattr(state, name)) for name in names},
        "governor": state.governor or {"unavailable": state.governor_unavailable or "not reported"},
        "throttling": list(state.throttling),
    }
