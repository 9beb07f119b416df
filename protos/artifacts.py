"""Which files a measurement needs, and which it makes."""

from __future__ import annotations

from typing import List

from protos.gauntlet.v1 import artifact_pb2, measurement_pb2


def needed(spec: measurement_pb2.MeasurementSpec) -> List[artifact_pb2.ArtifactRef]:
    """All artifacts that a measurement reads."""
    refs = [spec.model]
    if spec.HasField("accuracy"):
        refs.append(spec.accuracy.dataset)
    if spec.HasField("output_check"):
        refs.append(spec.output_check.reference)
    if spec.fault_plan.HasField("record"):
        refs.append(spec.fault_plan.record)
    if spec.HasField("comparison"):
        refs.append(spec.comparison.model)
    return refs


def made(result: measurement_pb2.MeasurementResult) -> List[artifact_pb2.ArtifactRef]:
    """All artifacts that a result refers to, each once."""
    refs = [result.latency.raw_samples, result.accuracy.predictions, result.faults.right_patterns]
    refs += [run.raw_samples for run in result.latency.runs]
    refs += [run.segments for run in result.comparison.runs]
    refs += [result.multi_stream.raw_samples, result.conditions.samples]
    return list({ref.digest: ref for ref in refs if ref.digest}.values())


def forget_made(result: measurement_pb2.MeasurementResult) -> None:
    """Let a result refer to none."""
    for part, name in (
        (result.latency, "raw_samples"),
        (result.accuracy, "predictions"),
        (result.faults, "right_patterns"),
        (result.multi_stream, "raw_samples"),
        (result.conditions, "samples"),
    ):
        part.ClearField(name)
    for latency_run in result.latency.runs:
        latency_run.ClearField("raw_samples")
    for run in result.comparison.runs:
        run.ClearField("segments")
