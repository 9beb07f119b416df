"""From a candidate's file to jobs, and from their results to an evaluation.

For each device one job measures latency, memory and clean accuracy; for each fault condition another one measures the
accuracy under it. A job's key is made of the campaign, the model's digest, the device, the specification and the
replicate: submitted again, it is the same job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from google.protobuf.json_format import MessageToDict

from fault_injection.models import Place, SingleUpset, rate_name
from orchestrator.client.specs import (
    accuracy_spec,
    fault_plan,
    job_spec,
    latency_spec,
    measurement_spec,
    output_check_spec,
    throttle_spec,
)
from orchestrator.protocol import Job
from protos.blame import Blame, blame, kind_name
from protos.gauntlet.v1 import artifact_pb2, fleet_pb2, job_pb2, measurement_pb2
from search.campaign.config import CampaignConfig
from search.campaign.targets import Target
from search.conditions import fault_model
from search.evaluations import Failure, FaultAccuracy
from search.values import Value

_CANDIDATE = "candidate-"


@dataclass(frozen=True)
class DataSets:
    """What every candidate is measured with, uploaded once.

    Attributes:
        accuracy: labelled images for clean accuracy.
        faults: labelled images under each fault pattern.
    """

    accuracy: artifact_pb2.ArtifactRef
    faults: artifact_pb2.ArtifactRef


@dataclass(frozen=True)
class Task:
    """One job of a candidate.

    Attributes:
        target: where.
        condition: the fault condition; empty for the measurement on clean hardware.
        spec: what is submitted.
    """

    target: Target
    condition: str
    spec: job_pb2.JobSpec

    @property
    def step(self) -> str:
        """For people."""
        return f"{self.condition or 'measurement'} on {self.target.name}"


def candidate_name(digest: str) -> str:
    """What a candidate's file is called in the lab.

    Not by its number: strategies that are compared share measurements, and number their candidates differently.
    """
    return f"{_CANDIDATE}{digest[:16]}.tflite"


def is_candidate(model: artifact_pb2.ArtifactRef) -> bool:
    """Is it a candidate's file, and not a winner's that is confirmed?"""
    return model.name.startswith(_CANDIDATE)


def tasks(
    config: CampaignConfig,
    campaign_id: str,
    targets: Sequence[Target],
    data: DataSets,
    model: artifact_pb2.ArtifactRef,
    reference: artifact_pb2.ArtifactRef | None,
    seed: int,
) -> list[Task]:
    """All jobs of a candidate.

    Args:
        config: of the campaign.
        campaign_id: its id.
        targets: devices; the first one measures what belongs to no device in particular.
        data: data sets.
        model: the uploaded file.
        reference: the host's outputs for it, or None to trust the file.
        seed: of the fault patterns, the same for all candidates.
    """
    measure, faults = config.measure, config.faults
    protocol = measure.full_protocol()
    runtime = {"threads": measure.threads, "delegate": measure.delegate, "timeout_s": protocol.job.timeout_s}
    clean = measurement_spec(
        model,
        latency=latency_spec(**protocol.latency.model_dump()),
        throttle=throttle_spec(**protocol.throttle.model_dump()),
        memory_runs=protocol.memory.runs,
        energy_window_s=protocol.energy.window_s,
        accuracy=accuracy_spec(data.accuracy, **protocol.accuracy.model_dump()),
        output_check=output_check_spec(reference, **protocol.output_check.model_dump()) if reference else None,
        **runtime,  # type: ignore[arg-type]  # a mapping of mixed types
    )
    found = [_task(campaign_id, target, "", clean, protocol.job) for target in targets]
    for target in targets:
        for condition in _conditions(config, target, targets[0]):
            plan = fault_plan(
                condition,
                seed=seed,
                half_width=faults.half_width,
                min_patterns=faults.min_patterns,
                max_patterns=faults.max_patterns,
                features=_hits_features(condition),
            )
            hit = measurement_spec(
                model,
                memory=False,
                energy=False,
                accuracy=accuracy_spec(data.faults, batch_size=128),
                fault_plan=plan,
                **runtime,  # type: ignore[arg-type]
            )
            found.append(_task(campaign_id, target, condition, hit, protocol.job))
    return found


def _hits_features(condition: str) -> bool:
    """Only a recorded table has conditions that are none of ours."""
    model = fault_model(condition)
    return model is not None and model.places[0] is Place.FEATURES


def _conditions(config: CampaignConfig, target: Target, first: Target) -> list[str]:
    """The fault conditions to measure on this device: all on the first one, elsewhere those that name it."""
    if target == first:
        return config.fault_conditions()
    return list(dict.fromkeys(q.fault for q in config.quantities() if q.fault and q.device == target.name))


def _task(
    campaign_id: str, target: Target, condition: str, measurement: measurement_pb2.MeasurementSpec, job: Job
) -> Task:
    content = measurement.SerializeToString(deterministic=True)
    parts = (campaign_id, measurement.model.digest, target.name, condition, hashlib.sha256(content).hexdigest(), "0")
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    spec = job_spec(
        measurement,
        device_id=target.device_id,
        device_class=target.device_class,
        idempotency_key=key,
        campaign_id=campaign_id,
        max_attempts=job.max_attempts,
        queue_timeout_s=job.queue_timeout_s,
    )
    return Task(target, condition, spec)


@dataclass
class Findings:
    """What the jobs of a candidate found out, to be filled by `add`."""

    #: Provenance of figures from a device that was found unfit, and of those that took their place; a step follows.
    SUSPECT: ClassVar[str] = "suspect: "
    AGAIN: ClassVar[str] = "measured again: "

    figures: dict[str, Value]
    faults: list[FaultAccuracy]
    stage_s: dict[str, float]
    provenance: dict[str, str]
    failure: Failure | None = None
    spent_j: float | None = None
    _power_w: dict[str, float] = field(default_factory=dict)

    def add(self, task: Task, job: job_pb2.Job, first: Target) -> None:
        """Take a finished job in."""
        self.note_fitness(task, job)
        if not job.HasField("result"):
            self._add_failure(task, job, first)
            return
        result = job.result
        spent = result.provenance.worker_s - result.provenance.host_lock_wait_s
        stage = "faults" if task.condition else "measurement"
        self.stage_s[stage] = self.stage_s.get(stage, 0.0) + spent
        self._add_energy(task.target.name, result, spent)
        self.stage_s["dispatch"] = self.stage_s.get("dispatch", 0.0) + max(
            0.0, _leased_s(job) - result.provenance.worker_s
        )
        if task.condition:
            self._add_faults(task, result.faults, first)
        else:
            self._add_clean(task, result, first)

    def _add_energy(self, device: str, result: measurement_pb2.MeasurementResult, seconds: float) -> None:
        power = Value.from_figure(result.energy.power_w).value
        if power is not None:
            self._power_w[device] = power
        # Jobs under faults are not metered: they draw what the clean one drew.
        if device in self._power_w:
            self.spent_j = (self.spent_j or 0.0) + self._power_w[device] * seconds

    def note_fitness(self, task: Task, job: job_pb2.Job) -> None:
        """Say that a result is suspect, or that it was measured again."""
        self.provenance.pop(f"{self.SUSPECT}{task.step}", None)
        if job.HasField("suspicion"):
            self.provenance[f"{self.SUSPECT}{task.step}"] = job.suspicion.reason
        if job.spec.repeats_job_id:
            self.provenance[f"{self.AGAIN}{task.step}"] = f"by job {job.job_id}"

    def has(self, task: Task, job: job_pb2.Job) -> bool:
        """Are these the second measurement's figures already?"""
        return self.provenance.get(f"{self.AGAIN}{task.step}") == f"by job {job.job_id}"

    def _add_clean(self, task: Task, result: measurement_pb2.MeasurementResult, first: Target) -> None:
        name = task.target.name
        accuracy = Value.from_figure(result.accuracy.top1)
        self.figures[f"latency_s@{name}"] = Value.from_figure(result.latency.median_s)
        self.figures[f"peak_memory_bytes@{name}"] = Value.from_figure(result.memory.peak_bytes)
        self.figures[f"energy_j@{name}"] = Value.from_figure(result.energy.energy_j)
        self.figures[f"accuracy@{name}"] = accuracy
        if task.target == first:
            self.figures["accuracy"] = accuracy
        told = result.provenance
        where = f", {told.threads} threads, cores {', '.join(map(str, told.cpus)) or 'any'}" if told.threads else ""
        self.provenance[f"runtime@{name}"] = f"{told.runtime} {told.runtime_version}, {told.delegate}{where}"
        for remark in told.remarks:
            self.provenance.setdefault(f"remarks@{name}", remark)

    def _add_faults(self, task: Task, result: measurement_pb2.FaultResult, first: Target) -> None:
        value = Value.from_figure(result.accuracy)
        self._name_fault(task, value, first)
        name, rate = _curve(task.condition)
        self.faults.append(FaultAccuracy(task.condition, name, rate, value, value.samples, task.target.name))

    def _name_fault(self, task: Task, value: Value, first: Target) -> None:
        self.figures[f"accuracy@{task.target.name}@{task.condition}"] = value
        if task.target == first:
            self.figures[f"accuracy@{task.condition}"] = value

    def _add_failure(self, task: Task, job: job_pb2.Job, first: Target) -> None:
        """The model's failure is the candidate's; a device's leaves a gap with its reason."""
        what = f"{kind_name(job.failure.kind)}: {job.failure.message}"
        if blame(job.failure) is Blame.MODEL:
            step = f"{task.step}, {job.failure.last_step}" if job.failure.last_step else task.step
            self.failure = self.failure or Failure(
                kind_name(job.failure.kind), job.failure.message, step, job.failure.remedy
            )
        missing = Value.missing(what)
        if task.condition:
            self._name_fault(task, missing, first)
            return
        names = [f"{kind}@{task.target.name}" for kind in ("latency_s", "peak_memory_bytes", "energy_j", "accuracy")]
        self.figures.update(dict.fromkeys(names, missing))
        if task.target == first:
            self.figures["accuracy"] = missing


def _curve(condition: str) -> tuple[str, float]:
    """The curve that a condition is on, and where."""
    model = fault_model(condition)
    if model is None:
        return condition, 0.0  # of a recorded table, and none of ours: a point by itself
    return model.name, 0.0 if isinstance(model, SingleUpset) else float(getattr(model, rate_name(model)))


def _leased_s(job: job_pb2.Job) -> float:
    """Seconds from the last lease to the committed result, by the orchestrator's clock."""
    attempt = job.attempts[-1]
    return (datetime.fromisoformat(attempt.ended_at) - datetime.fromisoformat(attempt.started_at)).total_seconds()


def describe(device: fleet_pb2.Device) -> Mapping[str, object]:
    """A device as a report shows it."""
    return MessageToDict(device.description, preserving_proto_field_name=True)
